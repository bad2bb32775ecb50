"""Encoders by the name that a spec gives them, and how ImageNet weights get into them.

An encoder maps normalised pictures (N, 3, H, W) to feature maps, finest first; it says their
`channels`, and which keys of published weights it has no place for (`unused`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fathom.errors import Code, FathomError
from training.students.efficientnet import EfficientNet
from training.students.mobilenet_v2 import MobileNetV2
from training.students.resnet import BasicBlock, Bottleneck, ResNet
from training.students.spec import EncoderName, Taps

Encoder: TypeAlias = MobileNetV2 | ResNet | EfficientNet

ENCODERS: Mapping[EncoderName, Callable[[Taps], Encoder]] = MappingProxyType(
    {
        "mobilenet-v2": MobileNetV2,
        "resnet18": partial(ResNet, BasicBlock, (2, 2, 2, 2)),
        "resnet34": partial(ResNet, BasicBlock, (3, 4, 6, 3)),
        "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3)),
        "resnext101": partial(ResNet, Bottleneck, (3, 4, 23, 3), groups=32),
        "efficientnet-b0": EfficientNet,
        "efficientnet-b4": partial(EfficientNet, width=1.4, depth=1.8),
    }
)


def load_imagenet(encoder: Encoder, path: Path) -> None:
    """Fill the encoder from a safetensors file with torchvision's keys.

    Batch counts may be absent (they only matter without a BatchNorm momentum) and matrices may be
    half precision; any other missing, foreign or misshapen key is refused.
    raises  BAD_MODEL
    """
    network = type(encoder).__name__
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"a readable safetensors file with {network} weights",
            got=f"{path}: {error}",
            repair="point --encoder-weights at such a file",
        ) from error
    weights = {key: value for key, value in weights.items() if not key.startswith(encoder.unused)}
    own = encoder.state_dict()
    counts = {key: torch.zeros_like(own[key]) for key in own if key.endswith("num_batches_tracked")}
    try:
        encoder.load_state_dict({**counts, **weights}, strict=True)
    except RuntimeError as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"torchvision's keys and shapes of the encoder, a {network}",
            got=f"{path}: {str(error).splitlines()[-1].strip()}",
            repair="point --encoder-weights at weights of the encoder that --encoder names",
        ) from error
