"""The network that is served: camera pixels in, metres out. Knows no loss and no data set.

Normalisation, decoder and metric head are one module, so an exported graph needs nothing around it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fathom.geometry import F32, RGB, Size
from training.students.decoder import SlimDecoder, enlarge
from training.students.mobilenet_v2 import TAP_CHANNELS, MobileNetV2

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Prediction(NamedTuple):
    """What a student says about a batch.

    depth_m       (N, H, W) float32, metres
    labels        None from a student without a segmentation head
    class_logits  (N, 13, H, W) of classes 1 to 13, in training with such a head
    features      decoder maps, coarse to fine, in training by a recipe that compares them
    """

    depth_m: Tensor
    labels: Tensor | None = None
    class_logits: Tensor | None = None
    features: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentSpec:
    """Everything that decides a student's shape and units; stored in every checkpoint.

    height_px, width_px  the network input
    focal_px             focal length, at network size, of the one camera whose metres are learned
    min_m, max_m         the range the head can express
    widths               decoder widths, finest first; their number sets the stride of the head
    """

    height_px: int = 256
    width_px: int = 320
    focal_px: float = 259.43  # Kinect of NYU Depth V2: 518.86 at 640 wide
    min_m: float = 0.2
    max_m: float = 12.0
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    dropout: float = 0.1


class MetricHead(nn.Module):
    """Bounded log depth: sigmoid moves evenly through ratios, so no logit can leave the range."""

    def __init__(self, min_m: float, max_m: float) -> None:
        super().__init__()
        self.log_min = math.log(min_m)
        self.log_span = math.log(max_m / min_m)

    def forward(self, logits: Tensor) -> Tensor:
        return torch.exp(self.log_min + self.log_span * torch.sigmoid(logits))


class Student(nn.Module):
    """Maps camera pixels to metres.

    frames   (N, H, W, 3) uint8 RGB; H and W are multiples of 32
    returns  depth_m (N, H, W) float32
    """

    def __init__(self, spec: StudentSpec) -> None:
        super().__init__()
        self.spec = spec
        # Fewer widths than taps: the finest taps are left out and the head sits coarser.
        self.skipped = len(TAP_CHANNELS) - len(spec.widths)
        self.encoder = MobileNetV2()
        self.decoder = SlimDecoder(TAP_CHANNELS[self.skipped :], spec.widths, spec.dropout)
        self.head = MetricHead(spec.min_m, spec.max_m)
        scale = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255
        shift = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255
        self.register_buffer("pixel_mean", shift, persistent=False)
        self.register_buffer("pixel_std", scale, persistent=False)
        self.pixel_mean: Tensor
        self.pixel_std: Tensor

    def forward(self, frames: Tensor) -> Prediction:
        # Cast before permuting: the other way round the uint8 transpose becomes a slow reorder.
        pixels = frames.float().permute(0, 3, 1, 2)
        taps = self.encoder((pixels - self.pixel_mean) / self.pixel_std)
        logits = self.decoder(taps[self.skipped :])
        # Logits, not metres, are enlarged: between a near and a far pixel the way is in ratios.
        logits = enlarge(logits.float(), 2 ** (self.skipped + 1))
        return Prediction(depth_m=self.head(logits).squeeze(1))

    @property
    def network_size(self) -> Size:
        return self.spec.height_px, self.spec.width_px

    def predict(self, frames: RGB) -> F32:
        """As `forward`, from arrays to arrays and without a graph: what evaluation asks for."""
        with torch.inference_mode():
            depth_m: Tensor = self(torch.from_numpy(frames)).depth_m
        return depth_m.numpy()
