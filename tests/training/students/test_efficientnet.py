"""EfficientNet: its size, its taps, and that a picture's answer is its own."""

import pytest
import torch
from torch import nn

from training.students.efficientnet import EfficientNet, MobileBlock
from training.students.encoder import ENCODERS
from training.students.spec import EncoderName, StudentSpec, Taps
from training.students.student import Student

# Parameters with a classifier of 1000, as torchvision counts them, and the width in front of it.
PUBLISHED: dict[EncoderName, tuple[int, int]] = {
    "efficientnet-b0": (5_288_548, 1280),
    "efficientnet-b4": (19_341_616, 1792),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_as_many_parameters_as_published(name: EncoderName) -> None:
    count, head = PUBLISHED[name]
    encoder = ENCODERS[name](Taps.EXPANDED)
    own = sum(parameter.numel() for parameter in encoder.parameters())
    assert own == count - 1000 * (head + 1)


@pytest.mark.parametrize(
    ("taps", "channels", "finest"),
    [
        (Taps.ENDS, (16, 24, 40, 112, 320), 2),
        (Taps.EXPANDED, (16, 24, 40, 112, 1280), 2),
        (Taps.SHORT, (24, 40, 112, 192), 4),
    ],
)
def test_taps_halve(taps: Taps, channels: tuple[int, ...], finest: int) -> None:
    encoder = EfficientNet(taps).eval()
    maps = encoder(torch.zeros(1, 3, 64, 96))
    assert encoder.channels == channels == tuple(each.shape[1] for each in maps)
    strides = [finest * 2**i for i in range(len(channels))]
    assert [each.shape[2:] for each in maps] == [(64 // s, 96 // s) for s in strides]


def test_the_shortcut_is_there_where_shapes_allow_it() -> None:
    x = torch.randn(1, 8, 5, 5)
    for outputs, stride, has_it in ((8, 1, True), (8, 2, False), (9, 1, False)):
        block = MobileBlock(8, outputs, kernel=3, stride=stride, expansion=6)
        narrow = block.block[-1]
        assert isinstance(narrow, nn.Sequential) and isinstance(narrow[-1], nn.BatchNorm2d)
        nn.init.zeros_(narrow[-1].weight)
        y = block.eval()(x)
        assert torch.equal(y, x) if has_it else not y.any()


def test_a_student_with_it_answers_each_picture_alone() -> None:
    torch.manual_seed(0)
    student = Student(StudentSpec(height_px=64, width_px=96, encoder="efficientnet-b0")).eval()
    frames = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    both, one = student(frames).depth_m, student(frames[:1]).depth_m
    assert torch.allclose(both[:1], one, rtol=1e-4)
