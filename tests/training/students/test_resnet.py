"""ResNets: their taps, their size, their shortcuts."""

import pytest
import torch
from torch import nn

from training.students.encoder import ENCODERS
from training.students.resnet import BasicBlock, Bottleneck, ResNet
from training.students.spec import EncoderName, Taps

# torchvision's counts less 512 (or 2048) times 1000 and 1000 of the classifier.
COUNTS: list[tuple[EncoderName, int]] = [
    ("resnet18", 11_689_512 - 513_000),
    ("resnet34", 21_797_672 - 513_000),
    ("resnet50", 25_557_032 - 2_049_000),
    ("resnext101", 88_791_336 - 2_049_000),
]


@pytest.mark.parametrize(("name", "parameters"), COUNTS)
def test_parameters_are_those_of_the_published_networks(name: EncoderName, parameters: int) -> None:
    with torch.device("meta"):
        encoder = ENCODERS[name](Taps.ENDS)
    assert sum(p.numel() for p in encoder.parameters()) == parameters


@pytest.mark.parametrize("taps", Taps)
def test_taps_halve_the_picture(taps: Taps) -> None:
    encoder = ResNet(BasicBlock, (2, 2, 2, 2), taps).eval()
    maps = encoder(torch.zeros(1, 3, 64, 96))
    wanted = [(64, 2), (64, 4), (128, 8), (256, 16), (512, 32)][1 if taps is Taps.SHORT else 0 :]
    assert encoder.channels == tuple(channels for channels, _ in wanted)
    assert [tuple(each.shape[1:]) for each in maps] == [
        (channels, 64 // stride, 96 // stride) for channels, stride in wanted
    ]


@pytest.mark.parametrize(("block", "inputs"), [(BasicBlock, 16), (Bottleneck, 64)])
def test_a_silenced_block_hands_its_input_on(
    block: type[BasicBlock | Bottleneck], inputs: int
) -> None:
    plain = block(inputs, 16, 1).eval()
    *_, last = (module for module in plain.children() if isinstance(module, nn.BatchNorm2d))
    nn.init.zeros_(last.weight)
    x = torch.rand(1, inputs, 4, 4)  # above 0, or the last ReLU would show
    assert torch.equal(plain(x), x)
