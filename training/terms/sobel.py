"""Gradients and surface normals of depth, by Sobel kernels that measure metres a pixel.

Published kernels are not divided by 8 and pad with zeros: normals come out eight times too steep,
and a constant error looks like an edge along the border. Here both are repaired. Terms of Hu et
al., Revisiting Single Image Depth Estimation, WACV 2019.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.data.sample import Batch
from training.losses import TermValue
from training.schedules import Schedule
from training.students.student import Prediction

ALPHA = 0.5


class Slope(NamedTuple):
    """Metres a pixel, to the right and downwards, (N, H, W)."""

    across: Tensor
    down: Tensor


def slope(depth_m: Tensor) -> Slope:
    """Sobel over 8 with the border repeated: a ramp of one metre a pixel has slope 1 inside."""
    smooth = torch.tensor([1.0, 2.0, 1.0], device=depth_m.device)
    difference = torch.tensor([-1.0, 0.0, 1.0], device=depth_m.device)
    kernels = torch.stack([torch.outer(smooth, difference), torch.outer(difference, smooth)]) / 8
    padded = functional.pad(depth_m.float()[:, None], (1, 1, 1, 1), mode="replicate")
    across, down = functional.conv2d(padded, kernels[:, None]).unbind(1)
    return Slope(across, down)


def all_around(valid: Tensor) -> Tensor:
    """Valid with all eight neighbours inside the picture: where a slope is measured throughout."""
    holes = functional.max_pool2d((~valid).float()[:, None], 3, stride=1, padding=1)[:, 0]
    return holes == 0


@dataclass(frozen=True, slots=True)
class LogDepth:
    """Mean ln(|p - g| + 0.5) over valid pixels; ln 0.5 at best."""

    weight: Schedule
    name: ClassVar[str] = "log_depth"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        apart = torch.where(batch.valid, prediction.depth_m.float() - batch.depth_m, 0).abs()
        return _mean((apart + ALPHA).log(), batch.valid)


@dataclass(frozen=True, slots=True)
class SobelGradient:
    """Mean difference of slopes, both directions added.

    in_log  ln(|difference| + 0.5), as in system 004; otherwise |difference|, as in 001
    """

    weight: Schedule
    in_log: bool = True
    name: ClassVar[str] = "sobel_gradient"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        # Slopes are linear, so one of the difference does for two; holes get no difference.
        difference = torch.where(batch.valid, prediction.depth_m.float() - batch.depth_m, 0)
        across, down = (each.abs() for each in slope(difference))
        total = (across + ALPHA).log() + (down + ALPHA).log() if self.in_log else across + down
        return _mean(total, all_around(batch.valid))


@dataclass(frozen=True, slots=True)
class SobelNormal:
    """Mean 1 - cosine between surface normals (-across, -down, 1), pixel by pixel."""

    weight: Schedule
    name: ClassVar[str] = "sobel_normal"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        p, g = slope(prediction.depth_m), slope(torch.where(batch.valid, batch.depth_m, 0))
        dot = p.across * g.across + p.down * g.down + 1
        length_p = (p.across**2 + p.down**2 + 1).sqrt()
        length_g = (g.across**2 + g.down**2 + 1).sqrt()
        return _mean(1 - dot / (length_p * length_g), all_around(batch.valid))


def _mean(values: Tensor, used: Tensor) -> TermValue:
    elements = int(used.sum())
    return TermValue((values * used).sum() / max(elements, 1), elements)
