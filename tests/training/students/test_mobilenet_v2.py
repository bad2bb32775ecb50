"""MobileNetV2: its taps, its size, its shortcuts."""

import pytest
import torch
from torch import nn

from training.students.mobilenet_v2 import InvertedResidual, MobileNetV2
from training.students.spec import Taps


@pytest.mark.parametrize(
    ("taps", "strides", "channels"),
    [
        (Taps.ENDS, (2, 4, 8, 16, 32), (16, 24, 32, 96, 320)),
        (Taps.EXPANDED, (2, 4, 8, 16, 32), (32, 144, 192, 576, 1280)),
        (Taps.SHORT, (4, 8, 16, 32), (24, 32, 96, 160)),
    ],
)
def test_taps_halve_the_picture(
    taps: Taps, strides: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    encoder = MobileNetV2(taps).eval()
    maps = encoder(torch.zeros(1, 3, 64, 96))
    assert encoder.channels == channels == tuple(each.shape[1] for each in maps)
    assert [each.shape[2:] for each in maps] == [(64 // s, 96 // s) for s in strides]


def test_parameters_are_those_of_the_paper_as_far_as_the_last_tap() -> None:
    def count(taps: Taps) -> int:
        return sum(p.numel() for p in MobileNetV2(taps).parameters())

    # torchvision's `features` have 2,223,872, of which the last layer holds 320 * 1280 + 2 * 1280.
    assert count(Taps.EXPANDED) == 2_223_872
    assert count(Taps.ENDS) == 2_223_872 - 320 * 1280 - 2 * 1280


def test_the_shortcut_is_there_where_shapes_allow_it() -> None:
    x = torch.randn(1, 8, 5, 5)
    for block, has_it in (
        (InvertedResidual(8, 8, 1, 6), True),
        (InvertedResidual(8, 8, 2, 6), False),
        (InvertedResidual(8, 9, 1, 6), False),
    ):
        last = block.conv[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)
        # With the branch silenced a block is the identity, or nothing.
        y = block.eval()(x)
        assert torch.equal(y, x) if has_it else not y.any()


def test_a_tap_inside_a_block_changes_nothing_behind_it() -> None:
    torch.manual_seed(0)
    inside = MobileNetV2(Taps.EXPANDED).eval()
    x = torch.randn(1, 3, 64, 96)
    maps = inside(x)
    for block in inside.features:  # the plain chain, shortcuts and all
        x = block(x)
    assert torch.equal(maps[-1], x)


def test_a_tap_inside_a_block_is_behind_its_depthwise_filter() -> None:
    encoder = MobileNetV2(Taps.EXPANDED).eval()
    seen: list[torch.Tensor] = []
    third = encoder.features[3]
    assert isinstance(third, InvertedResidual)
    third.conv[1].register_forward_hook(lambda _module, _args, output: seen.append(output))
    maps = encoder(torch.randn(1, 3, 64, 96))
    assert torch.equal(maps[1], seen[0]) and maps[1].max() <= 6
