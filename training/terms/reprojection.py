"""Depth from motion alone: a neighbour's picture, moved here by depth and motion, must look like
this one (system 000 and Godard et al., Digging into Self-Supervised Monocular Depth, ICCV 2019).

Each pixel takes the better of two neighbours, for it may be hidden in one; and where a neighbour
fits better as it is, nothing moved against the camera, and the pixel says nothing (auto-mask).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.data.sample import Batch
from training.losses import MIN_M, TermValue, required
from training.motion.rigid import inverse, rigid
from training.motion.warp import synthesise
from training.schedules import Schedule
from training.students.student import Prediction
from training.terms.ssim import ssim_loss


def unlike(a: Tensor, b: Tensor) -> Tensor:
    """(N, H, W): 0.85 SSIM loss + 0.15 |a - b|, over the channels of (N, 3, H, W) in 0..1."""
    return (0.85 * ssim_loss(a, b) + 0.15 * (a - b).abs()).mean(1)


def pixels(frames: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) in 0..1."""
    return frames.float().permute(0, 3, 1, 2) / 255


def transforms(motion: Tensor) -> tuple[Tensor, Tensor]:
    """T_before_middle and T_after_middle, (N, 3, 4), from a pose network's answers to both pairs.

    motion  (N, 2, 6): T_middle_before and T_after_middle, for pairs are shown in order of time
    """
    return inverse(rigid(motion[:, 0])), rigid(motion[:, 1])


class Trio(NamedTuple):
    """Pictures (N, 3, H, W) in 0..1 with depth (N, H, W) of the middle one, all of one size."""

    before: Tensor
    middle: Tensor
    after: Tensor
    depth_m: Tensor
    camera: Tensor

    def halved(self) -> "Trio":
        """Every 2x2 pixels averaged; the camera as `Intrinsics.resized` has it."""
        before, middle, after = (functional.avg_pool2d(each, 2) for each in self[:3])
        depth_m = functional.avg_pool2d(self.depth_m[:, None], 2)[:, 0]
        fx, fy, cx, cy = self.camera.unbind(1)
        camera = torch.stack([fx / 2, fy / 2, (cx + 0.5) / 2 - 0.5, (cy + 0.5) / 2 - 0.5], 1)
        return Trio(before, middle, after, depth_m, camera)

    def unlikeness(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W) of the better neighbour, moved here and as it is."""
        moved, still = [], []
        for other, transform in zip((self.before, self.after), transforms(motion), strict=True):
            seen = synthesise(other, self.depth_m, transform, self.camera)
            moved.append(unlike(seen.picture, self.middle))
            still.append(unlike(other, self.middle))
        return torch.stack(moved).amin(0), torch.stack(still).amin(0)


@dataclass(frozen=True, slots=True)
class Reprojection:
    """Mean over all pixels of the least of four: both neighbours moved here, and both as they are.

    scales  how often all of it is halved and compared again: from afar a shift of several pixels
            is found, which at full size lies beyond the next repetition of a pattern

    The pixels used are those where a moved neighbour is the least: in a clip in which nothing moves
    there is none, and that is an error.
    """

    weight: Schedule
    scales: int = 3
    name: ClassVar[str] = "reprojection"
    needs: ClassVar[frozenset[str]] = frozenset({"neighbours", "camera"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        neighbours = required(batch.neighbours, "frames before and after", self.name)
        camera = required(batch.camera, "cameras", self.name)
        motion = required(batch.motion, "motion", self.name)
        before, after = (pixels(each) for each in neighbours.unbind(1))
        trio = Trio(before, pixels(batch.frames), after, prediction.depth_m.float(), camera)
        total, elements = trio.depth_m.sum() * 0, 0
        for _ in range(self.scales):
            moved, still = trio.unlikeness(motion)
            total = total + torch.minimum(moved, still).mean() / self.scales
            elements += int((moved < still).sum())
            trio = trio.halved()
        return TermValue(total, elements)


@dataclass(frozen=True, slots=True)
class EdgeAwareSmoothness:
    """Mean |step of D| e^-|step of the picture|, right and down; D is inverse depth over its mean.

    Over the mean, because otherwise a flatter D, farther away, would always be smoother.
    """

    weight: Schedule
    name: ClassVar[str] = "smoothness"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        inverse_depth = 1 / prediction.depth_m.float().clamp(min=MIN_M)
        d = inverse_depth / inverse_depth.mean((1, 2), keepdim=True)
        picture = pixels(batch.frames)
        total = d.sum() * 0
        for axis in (1, 2):
            edges = picture.diff(dim=axis + 1).abs().mean(1)
            total = total + (d.diff(dim=axis).abs() * torch.exp(-edges)).mean()
        return TermValue(total, d.numel())
