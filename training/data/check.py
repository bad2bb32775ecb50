"""What is right and wrong with a data set, in plain words: `python -m training check-data FOLDER`.

A wrong unit or a swapped folder costs a night of training and looks like a bad network.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fathom.errors import FathomError
from training.data.labels import CLASSES
from training.data.reader import ALL, Reader
from training.data.sample import Sample

LOOKED_AT = 12
# Median depth of a picture: rooms are at 1 to 6 m, streets at 5 to 40 m.
PLAUSIBLE_M = (0.3, 60.0)


class Finding(NamedTuple):
    """One thing noticed; a warning leaves the data usable."""

    level: str
    text: str


def check(reader: Reader, part: str = ALL) -> Sequence[Finding]:
    """Read some pictures at even distance and say what is noticed; good news too."""
    try:
        ids = reader.ids(part)
    except FathomError as error:
        return [Finding("wrong", in_words(error))]
    findings, samples = [Finding("right", f"{len(ids)} pictures in part {part}")], []
    for id_ in spread(ids):
        try:
            samples.append(reader.read(id_))
        except FathomError as error:
            findings.append(Finding("wrong", f"{id_}: {in_words(error)}"))
        except KeyError:
            findings.append(Finding("wrong", f"{id_}: listed, but not in the data set's table"))
    return [*findings, *(f for look in (sizes, depth, border, labels) for f in look(samples))]


def some(reader: Reader, part: str = ALL) -> Iterator[Sample]:
    """The pictures that are looked at."""
    return (reader.read(id_) for id_ in spread(reader.ids(part)))


def spread(ids: Sequence[str]) -> Sequence[str]:
    """A few at even distance: neighbours show the same scene."""
    return ids[:: max(1, len(ids) // LOOKED_AT)][:LOOKED_AT]


def in_words(error: FathomError) -> str:
    return str(error).removeprefix(f"{error.code}: ")


def sizes(samples: Sequence[Sample]) -> Iterator[Finding]:
    seen = sorted({sample.image.shape[:2] for sample in samples})
    if seen:
        told = ", ".join(f"{width}x{height}" for height, width in seen)
        yield Finding("right", f"{len(samples)} of them read; pictures of {told}")
    if any(s.image.shape[:2] != s.depth_m.shape for s in samples):
        yield Finding("warning", "pictures are larger than their depth: fine to score, not to fit")
    angles = {round(float(_hfov_deg(sample)), 1) for sample in samples}
    if angles:
        yield Finding("right", f"horizontal field of view {min(angles)} to {max(angles)} degrees")
    if any(not 20 < angle < 130 for angle in angles):
        yield Finding("wrong", "such a camera is unlikely: check the focal length and its size")


def _hfov_deg(sample: Sample) -> float:
    return float(np.degrees(2 * np.arctan(sample.image.shape[1] / 2 / sample.focal_px)))


def depth(samples: Sequence[Sample]) -> Iterator[Finding]:
    measured = [sample for sample in samples if sample.valid.any()]
    if not measured:
        if samples:
            yield Finding("warning", "no depth at all: usable with a teacher only")
        return
    if len(measured) < len(samples):
        bare = len(samples) - len(measured)
        yield Finding("warning", f"{bare} of {len(samples)} pictures have no depth")
    if any(not np.isfinite(s.depth_m[s.valid]).all() for s in measured):
        yield Finding("wrong", "some depth is not a finite number though it counts as valid")
        return
    medians = [float(np.median(s.depth_m[s.valid])) for s in measured]
    share = float(np.mean([sample.valid.mean() for sample in measured]))
    told = (
        f"median depth {min(medians):.2f} to {max(medians):.2f} m, {share:.0%} of pixels measured"
    )
    low, high = PLAUSIBLE_M
    if low <= min(medians) and max(medians) <= high:
        yield Finding("right", told)
    else:
        unit = "millimetres read as metres" if max(medians) > high else "another stored unit"
        yield Finding("wrong", f"{told}: no room or street is like that; perhaps {unit}")
    if share < 0.02:
        yield Finding("warning", "very sparse depth: losses on edges will find few neighbours")
    if any(s.valid.sum() > 100 and np.ptp(s.depth_m[s.valid]) == 0 for s in measured):
        yield Finding("wrong", "a picture with the same depth everywhere: a placeholder?")


def border(samples: Sequence[Sample]) -> Iterator[Finding]:
    """A painted frame teaches a network to read scale from the frame."""
    framed = [s for s in samples if all(_flat(edge) for edge in _edges(s))]
    if framed:
        told = f"{len(framed)} of {len(samples)} pictures have a border of one colour"
        yield Finding("warning", f"{told}: cut it off, or the network reads scale from its width")


def _edges(sample: Sample) -> Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    image = sample.image
    return image[0], image[-1], image[:, 0], image[:, -1]


def _flat(edge: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bool:
    return bool(edge.std(axis=0).max() < 8)  # JPEG rings beside a border


def labels(samples: Sequence[Sample]) -> Iterator[Finding]:
    given = [sample.labels for sample in samples if sample.labels is not None]
    if not given:
        return
    seen = np.unique(np.concatenate([np.unique(each) for each in given]))
    if seen.max() >= len(CLASSES):
        yield Finding("wrong", f"class {seen.max()}, where the largest is {len(CLASSES) - 1}")
        return
    yield Finding("right", "classes: " + ", ".join(CLASSES[i] for i in seen if i))
    if not seen.any():
        yield Finding("warning", "labels are there, but nothing is labelled")
