"""The network that is served: camera pixels in, metres out. Knows no loss and no data set.

Normalisation, decoder and head are one module, so an exported graph needs nothing around it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Size
from training.students.attention import BlockAttention
from training.students.bins import Bins
from training.students.decoder import SlimDecoder, enlarge
from training.students.detail import DetailBranch
from training.students.encoder import ENCODERS
from training.students.pre_activation import PreActivationDecoder
from training.students.se5x5 import SqueezeDecoder
from training.students.segmentation import WIDTHS, SegmentationHead
from training.students.spec import DecoderName, StudentSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ATTENDED = 4

Decoder: TypeAlias = SlimDecoder | PreActivationDecoder | SqueezeDecoder
DECODERS: Mapping[DecoderName, type[Decoder]] = MappingProxyType(
    {"slim": SlimDecoder, "reference-002": PreActivationDecoder, "se5x5": SqueezeDecoder}
)


class Prediction(NamedTuple):
    """What a student says about a batch.

    depth_m       (N, H, W) float32, metres; NaN, no answer, from a relative head
    labels        (N, H, W) uint8, classes 1 to 13, in eval mode of a student with such a head
    class_logits  (N, 13, H, W) of classes 1 to 13, in training of a student with such a head
    features      the decoder's maps, coarse to fine
    inv_depth     (N, H, W) float32 in 0..1, nearer is more, scale and shift unknown; relative only
    base_m        (N, H, W) float32, metres before detail is added, from a student with detail
    """

    depth_m: Tensor
    labels: Tensor | None = None
    class_logits: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    inv_depth: Tensor | None = None
    base_m: Tensor | None = None


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
    classes  False leaves the segmentation head out, as a graph of depth alone does
    returns  depth_m (N, H, W) float32
    """

    def __init__(self, spec: StudentSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = ENCODERS[spec.encoder](DECODERS[spec.decoder].taps)
        self.decoder = make_decoder(spec, self.encoder.channels)
        self.head = MetricHead(spec.min_m, spec.max_m)
        maps = self.decoder.channels
        # Of a stride of 2 there is no attention: the finest map has the fewest channels to attend.
        coarse = self.encoder.channels[-ATTENDED:] if spec.attention else ()
        self.attention = nn.ModuleList(BlockAttention(spec.attention) for _ in coarse)
        self.detail = DetailBranch(self.encoder.channels, spec.widths) if spec.detail else None
        self.bins = Bins(maps) if spec.head == "bins" else None
        self.segmentation = None
        if spec.classes:
            self.segmentation = SegmentationHead(maps, spec.classes, WIDTHS[: len(maps) - 1])
        scale = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255
        shift = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255
        self.register_buffer("pixel_mean", shift, persistent=False)
        self.register_buffer("pixel_std", scale, persistent=False)
        self.pixel_mean: Tensor
        self.pixel_std: Tensor

    def forward(self, frames: Tensor, *, classes: bool = True) -> Prediction:
        # Cast before permuting: the other way round the uint8 transpose becomes a slow reorder.
        pixels = frames.float().permute(0, 3, 1, 2)
        pixels = (pixels - self.pixel_mean) / self.pixel_std
        if self.detail is not None:
            return self.in_detail(pixels, self.detail)
        features = self.decoder(self.taps(enlarge(pixels, 0.5) if self.decoder.halves else pixels))
        found = self.depth_of(features)._replace(features=features)
        if self.segmentation is None or not classes:
            return found
        class_logits = self.segmentation(features).float()
        class_logits = enlarge(class_logits, frames.shape[1] // class_logits.shape[2])
        if self.training:
            return found._replace(class_logits=class_logits)
        return found._replace(labels=(class_logits.argmax(1) + 1).to(torch.uint8))

    def taps(self, pixels: Tensor) -> Sequence[Tensor]:
        """What the encoder sees in normalised pixels, with attention if the student has it."""
        taps = list(self.encoder(pixels))
        for place, attend in enumerate(self.attention, start=len(taps) - len(self.attention)):
            taps[place] = attend(taps[place])
        return taps

    def in_detail(self, pixels: Tensor, branch: DetailBranch) -> Prediction:
        """The base from half the size, enlarged; what it lacks from all of it, added in logits."""
        features = self.decoder(self.taps(enlarge(pixels, 0.5)))
        logits = self.decoder.predict(features[-1]).float()
        base = enlarge(logits, 2 * self.decoder.strides[-1]).squeeze(1)
        lacking = branch(self.taps(pixels), features[-1]).squeeze(1)
        return Prediction(self.head(base + lacking), features=features, base_m=self.head(base))

    def depth_of(self, features: tuple[Tensor, ...]) -> Prediction:
        """What the head makes of the decoder's maps."""
        logits = self.decoder.predict(features[-1])
        if self.bins is not None:
            logits = self.bins(features, logits)
        # Logits, not metres, are enlarged: between a near and a far pixel the way is in ratios.
        logits = enlarge(logits.float(), self.decoder.strides[-1]).squeeze(1)
        if self.spec.head == "relative":
            nowhere_m = torch.full_like(logits, math.nan)
            return Prediction(nowhere_m, inv_depth=torch.sigmoid(logits))
        return Prediction(self.head(logits))

    @property
    def network_size(self) -> Size:
        return self.spec.height_px, self.spec.width_px

    def predict(self, frames: RGB) -> F32:
        """As `forward`, from arrays to arrays and without a graph: what evaluation asks for."""
        with torch.inference_mode():
            depth_m: Tensor = self(torch.from_numpy(frames), classes=False).depth_m
        return depth_m.numpy()

    def classify(self, frames: RGB) -> NDArray[np.uint8]:
        """Class ids (N, H, W) of a student with a segmentation head, in eval mode."""
        with torch.inference_mode():
            labels: Tensor | None = self(torch.from_numpy(frames)).labels
        if labels is None:
            raise FathomError(
                Code.NOT_AVAILABLE,
                expected="a student with a segmentation head, in eval mode",
                got=f"classes={self.spec.classes}, training={self.training}",
                repair="train one with --classes 13",
            )
        ids: NDArray[np.uint8] = labels.numpy()
        return ids


def without_classes(student: Student) -> Student:
    """The same depth from a student that has no segmentation head, in eval mode."""
    plain = Student(replace(student.spec, classes=0))
    own = plain.state_dict()
    plain.load_state_dict({key: v for key, v in student.state_dict().items() if key in own})
    return plain.eval()


def make_decoder(spec: StudentSpec, tap_channels: Sequence[int]) -> Decoder:
    match spec.decoder:
        case "slim":
            return SlimDecoder(tap_channels, spec.widths, spec.dropout)
        case "reference-002":
            return PreActivationDecoder(tap_channels)
        case "se5x5":
            return SqueezeDecoder(tap_channels)
