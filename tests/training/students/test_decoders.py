"""Decoders: sizes as published, and what the order of their layers comes to."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from training.students.pre_activation import PreActivationBody, PreActivationDecoder, Step
from training.students.se5x5 import Gate
from training.students.spec import DecoderName, EncoderName, StudentSpec
from training.students.student import Student


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("encoder", "decoder", "parameters"),
    [
        ("mobilenet-v2", "reference-002", 9_347_088),
        ("resnet18", "reference-002", 17_322_480),
        ("resnext101", "reference-002", 94_983_024),
        ("mobilenet-v2", "se5x5", 1_673_905),
        ("resnet34", "se5x5", 21_918_977),
    ],
)
def test_reference_networks_have_their_published_sizes(
    encoder: EncoderName, decoder: DecoderName, parameters: int
) -> None:
    with torch.device("meta"):
        student = Student(StudentSpec(encoder=encoder, decoder=decoder))
    assert count(student) == parameters
    if isinstance(student.decoder, PreActivationDecoder):
        assert count(student.decoder.body) == 5_443_504


def test_a_pre_activation_step_is_norm_relu_enlarge_filter() -> None:
    torch.manual_seed(0)
    step = Step(96, 32, 16)
    x = torch.randn(2, 96, 3, 4)
    assert isinstance(step.reduce, nn.Sequential)
    norm, _, narrow = step.reduce
    assert norm.num_groups == 6 and narrow.kernel_size == (1, 1) and narrow.bias is None
    norm, _, conv = step.expand
    assert norm.num_groups == 2 and conv.kernel_size == (3, 3) and conv.bias is None
    enlarged = functional.interpolate(
        functional.relu(norm(step.reduce(x))), scale_factor=2, mode="bilinear"
    )
    assert torch.allclose(step(x, (6, 8)), conv(enlarged), atol=1e-6)


def test_the_coarsest_map_is_enlarged_to_the_exact_size_of_the_next() -> None:
    # 48 wide at stride 16 is 3, at stride 32 rounded up 2: twice that would be 4.
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3), (1, 2))
    maps = [
        torch.zeros(1, c, *size) for c, size in zip((64, 128, 256, 512, 1024), sizes, strict=True)
    ]
    found = PreActivationBody()(maps)
    assert [tuple(each.shape[1:]) for each in found] == [
        (512, 2, 3), (128, 4, 6), (64, 8, 12), (32, 16, 24), (16, 32, 48),
    ]  # fmt: skip


def test_the_reference_network_sees_pictures_at_half_size() -> None:
    student = Student(StudentSpec(height_px=64, width_px=96, decoder="reference-002")).eval()
    seen: list[torch.Tensor] = []
    student.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    student(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
    assert seen[0].shape == (1, 3, 32, 48)


def test_a_gate_weighs_a_channel_the_same_everywhere() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 32, 4, 5)
    factors = Gate(32)(x) / x
    assert torch.allclose(factors, factors[:, :, :1, :1].expand_as(factors), atol=1e-5)
    assert factors.min() > 0 and factors.max() < 1
