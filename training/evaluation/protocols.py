"""Which pixels of which picture are compared, under names that go beside every figure.

A protocol first says which pixels count and then cuts the picture, so that a later cut (a border
taken off, say) moves both together. Knows no metric and no network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil, inf
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import Size, resize_image
from training.data.lists import kb_crop
from training.data.sample import Sample

Box = tuple[slice, slice]
FULL: Size = (480, 640)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalProtocol:
    """How a picture is scored.

    prepare       cuts the picture and marks as not valid what is not compared
    min_m, max_m  truth strictly between them counts
    clamps        whether the prediction is clamped to them
    inclusive     whether a ratio at the very bound of a delta counts as within
    """

    name: str
    prepare: Callable[[Sample], Sample]
    min_m: float
    max_m: float
    clamps: bool = True
    inclusive: bool = False

    def counted(self, sample: Sample) -> NDArray[np.bool_]:
        """Where a prepared sample is compared."""
        within = (sample.depth_m > self.min_m) & (sample.depth_m < self.max_m)
        return within & sample.valid


def whole(sample: Sample) -> Sample:
    return sample


def only(sample: Sample, box: Box) -> Sample:
    """Nothing outside of the box of the truth is compared."""
    inside = np.zeros(sample.valid.shape, np.bool_)
    inside[box] = True
    return replace(sample, valid=sample.valid & inside)


def strided(box: Box, size: Size) -> Box:
    """A box of 480x640 on its every n-th row and column.

    raises  BAD_DATA if a map of `size` is not that
    """
    step = FULL[0] // size[0] if size[0] else 0
    if not step or size != (FULL[0] // step, FULL[1] // step):
        raise FathomError(
            Code.BAD_DATA,
            expected="pictures and depth of 640x480, or its every second row and column",
            got=f"{size[1]}x{size[0]}",
            repair="this protocol is NYU's; choose generic for other cameras",
        )
    rows, cols = (slice(ceil(side.start / step), ceil(side.stop / step)) for side in box)
    return rows, cols


def cut(sample: Sample, box: Box) -> Sample:
    """The part of a sample inside a box of 480x640; picture and maps may be strided apart."""
    map_box = strided(box, (sample.depth_m.shape[0], sample.depth_m.shape[1]))
    return replace(
        sample,
        image=sample.image[strided(box, (sample.image.shape[0], sample.image.shape[1]))],
        depth_m=sample.depth_m[map_box],
        valid=sample.valid[map_box],
        labels=None if sample.labels is None else sample.labels[map_box],
    )


# Eigen et al., NIPS 2014: what the Kinect sees of the projected picture.
EIGEN: Box = (slice(45, 471), slice(41, 601))


def eigen(sample: Sample) -> Sample:
    return only(sample, strided(EIGEN, (sample.depth_m.shape[0], sample.depth_m.shape[1])))


def reference_002(sample: Sample) -> Sample:
    """Lap_Rep_KD_Depth shows its network rows 24:472, columns 40:616, and scores Eigen's box."""
    return cut(eigen(sample), (slice(24, 472), slice(40, 616)))


def blw(sample: Sample) -> Sample:
    """The centre 228x304 of 240x320, as Boosting-Light-Weight-Depth-Estimation cuts it."""
    rows, cols = FULL[0] // 2, FULL[1] // 2
    step = sample.depth_m.shape[0] // rows
    strided(EIGEN, (sample.depth_m.shape[0], sample.depth_m.shape[1]))
    centre = (slice(6, 234), slice(8, 312))
    return replace(
        sample,
        image=resize_image(sample.image, (rows, cols))[centre],
        depth_m=sample.depth_m[::step, ::step][centre],
        valid=sample.valid[::step, ::step][centre],
        labels=None if sample.labels is None else sample.labels[::step, ::step][centre],
        focal_px=sample.focal_px * cols / sample.image.shape[1],
    )


def garg(sample: Sample) -> Sample:
    """Garg et al., ECCV 2016: shares of whatever size the truth has."""
    height, width = sample.depth_m.shape
    rows = slice(int(0.40810811 * height), int(0.99189189 * height))
    return only(sample, (rows, slice(int(0.03594771 * width), int(0.96405229 * width))))


def kitti_reference_002(sample: Sample) -> Sample:
    """As published there: Garg's shares taken of the 352x1216 crop, which are other pixels."""
    return garg(kb_crop(sample))


# No prediction is aligned to the truth or averaged with a mirrored pass unless a name says so.
PROTOCOLS: Mapping[str, EvalProtocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            EvalProtocol(name="nyu-eigen", prepare=eigen, min_m=1e-3, max_m=10.0),
            EvalProtocol(name="nyu-reference-002", prepare=reference_002, min_m=1e-3, max_m=10.0),
            EvalProtocol(name="kitti-garg", prepare=garg, min_m=1e-3, max_m=80.0),
            EvalProtocol(
                name="kitti-reference-002", prepare=kitti_reference_002, min_m=1e-3, max_m=80.0
            ),
            EvalProtocol(
                name="blw-nyu", prepare=blw, min_m=0.0, max_m=inf, clamps=False, inclusive=True
            ),
            # ZoeDepth's range for iBims-1 (Bhat et al., arXiv 2302.12288); truth goes to 50 m.
            EvalProtocol(name="ibims", prepare=whole, min_m=1e-3, max_m=10.0),
            EvalProtocol(name="generic", prepare=whole, min_m=1e-3, max_m=100.0),
        )
    }
)
