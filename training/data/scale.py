"""Whether two data sets show scenes of one scale, by how far their depth histograms overlap.

Auxiliary pictures help when their scenes are as large as those to be learned (Hu et al., KSEM 2023,
section 3.2, where ScanNet's histogram is laid over NYU's).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from training.data.check import Finding
from training.data.sample import Sample

# Even steps of ratio from 0.3 to 80 m, a step about a fifth.
EDGES_M = np.geomspace(0.3, 80.0, 31)
# With NYU's pictures to fit on, those to validate on overlap by 0.91, made rooms by 0.79, one
# kitchen of 7-Scenes by 0.63, one desk of TUM by 0.42, two streets of KITTI by 0.09.
ENOUGH = 0.5


def depth_histogram(samples: Iterable[Sample]) -> NDArray[np.float64]:
    """Share of measured pixels in each step, each picture counting the same; zeros without any."""
    shares = []
    for sample in samples:
        inside = np.clip(sample.depth_m[sample.valid], EDGES_M[0], EDGES_M[-1])
        if inside.size:
            shares.append(np.histogram(inside, EDGES_M)[0] / inside.size)
    return np.mean(shares, axis=0) if shares else np.zeros(len(EDGES_M) - 1)


def overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """1 for equal histograms, 0 for disjoint ones."""
    return float(np.minimum(first, second).sum())


def compare_scale(samples: Iterable[Sample], others: Iterable[Sample]) -> Finding:
    """What the overlap means for using one as auxiliary data of the other."""
    first, second = depth_histogram(samples), depth_histogram(others)
    if not first.any() or not second.any():
        return Finding("warning", "no depth to compare; ask a teacher about the pictures first")
    share = overlap(first, second)
    told = f"depth histograms overlap by {share:.0%}"
    if share >= ENOUGH:
        return Finding("right", f"{told}: scenes of about one scale")
    return Finding("warning", f"{told}: other scenes; as auxiliary data they may harm")
