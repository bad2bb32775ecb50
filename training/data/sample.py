"""One picture with its truth, and a batch of them. Knows no file format and no network.

Metres become the student's own at one place, `collate`: a network learns one camera, so every truth
is restated as that camera would have seen it (canonical camera space, Yin et al., Metric3D,
ICCV 2023, section 3.2). `fathom.geometry.focal_correction` is the way back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.geometry import F32, RGB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A picture with depth, all maps of one size.

    image     (H, W, 3) uint8 RGB
    depth_m   (H, W) float32, metres of the camera that took the picture; 0 where not valid
    valid     (H, W) bool: where depth may be used
    labels    (H, W) uint8 class ids, 0 unlabelled; None if the data set has none or none were asked
    taught    (H, W) float32, what a teacher says in its own unit, NaN where nothing; metres are
              those of the camera, as depth_m; None without a teacher
    refined   (H, W) float32 metres of that camera, refined from patches; NaN where none lies
    focal_px  focal length of that camera in pixels of this picture
    scene     name of the place; no scene is in two splits
    """

    image: RGB
    depth_m: F32
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8] | None = None
    taught: F32 | None = None
    refined: F32 | None = None
    focal_px: float
    scene: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Samples of network size, stacked, depth in the student's metres.

    frames   (N, H, W, 3) uint8 RGB
    depth_m  (N, H, W) float32, metres of the canonical camera
    valid    (N, H, W) bool
    labels   (N, H, W) uint8 or None
    taught   (N, H, W) float32 in the teacher's unit, scaled as depth is (which only metres can
             tell: other units have no scale), NaN where it says nothing; or None
    refined  (N, H, W) float32, metres of the canonical camera, NaN where no patch lies; or None
    teacher_features  a teacher's decoder maps for these frames, coarse to fine; or None
    replaced (N, sites, 2) float32, of the student's values that became the teacher's: how far they
             were off in sum, and their number; or None
    neighbours  (N, 2, H, W, 3) uint8 RGB, the frames before and after in the same video; or None
    camera   (N, 4) float32: fx, fy, cx, cy in pixels of these frames; only beside neighbours
    motion   (N, 2, 6) what a pose network says of (before, frame) and (frame, after), filled in
             by it; or None
    """

    frames: Tensor
    depth_m: Tensor
    valid: Tensor
    labels: Tensor | None = None
    taught: Tensor | None = None
    refined: Tensor | None = None
    teacher_features: tuple[Tensor, ...] | None = None
    replaced: Tensor | None = None
    neighbours: Tensor | None = None
    camera: Tensor | None = None
    motion: Tensor | None = None


def collate(samples: Sequence[Sample], focal_px: float) -> Batch:
    """Stack samples; depth becomes what a camera of `focal_px` would have to see to take them."""
    labels = [sample.labels for sample in samples if sample.labels is not None]
    factors = [np.float32(focal_px / sample.focal_px) for sample in samples]
    both = list(zip(samples, factors, strict=True))
    taught = [sample.taught * factor for sample, factor in both if sample.taught is not None]
    refined = [sample.refined * factor for sample, factor in both if sample.refined is not None]
    return Batch(
        frames=torch.from_numpy(np.stack([sample.image for sample in samples])),
        depth_m=torch.from_numpy(np.stack([sample.depth_m * factor for sample, factor in both])),
        valid=torch.from_numpy(np.stack([sample.valid for sample in samples])),
        labels=torch.from_numpy(np.stack(labels)) if len(labels) == len(samples) else None,
        taught=torch.from_numpy(np.stack(taught)) if len(taught) == len(samples) else None,
        refined=torch.from_numpy(np.stack(refined)) if len(refined) == len(samples) else None,
    )
