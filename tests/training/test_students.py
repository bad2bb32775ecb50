"""The student: shapes, keys, budget, range, and that a picture's answer is its own."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fathom.errors import Code, FathomError
from training.students.checkpoint import load_student, read_notes, save_student, write_atomically
from training.students.mobilenet_v2 import (
    TAP_CHANNELS,
    InvertedResidual,
    MobileNetV2,
    load_imagenet,
)
from training.students.student import IMAGENET_MEAN, IMAGENET_STD, MetricHead, Student, StudentSpec

SPEC = StudentSpec(height_px=64, width_px=96)


def frames(count: int, height: int = 64, width: int = 96) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    shape = (count, height, width, 3)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    return Student(SPEC).eval()


def published(encoder: MobileNetV2) -> dict[str, torch.Tensor]:
    """The weights as the files have them: without counts, with the layer we leave out."""
    weights = {k: v for k, v in encoder.state_dict().items() if "num_batches" not in k}
    return {**weights, "features.18.0.weight": torch.zeros(1280, 320, 1, 1)}


def test_taps_halve_five_times() -> None:
    taps = MobileNetV2().eval()(torch.zeros(1, 3, 64, 96))
    assert [tap.shape[1] for tap in taps] == list(TAP_CHANNELS)
    assert [tap.shape[2:] for tap in taps] == [(64 // s, 96 // s) for s in (2, 4, 8, 16, 32)]


def test_encoder_parameters_are_those_of_the_paper_less_the_last_layer() -> None:
    # 2,223,872 in torchvision's `features`, of which the 1280 layer holds 320 * 1280 + 2 * 1280.
    count = sum(p.numel() for p in MobileNetV2().parameters())
    assert count == 2_223_872 - 320 * 1280 - 2 * 1280


def test_a_student_is_within_its_budget() -> None:
    assert sum(p.numel() for p in Student(StudentSpec()).parameters()) <= 4_000_000


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


def test_published_weights_load_without_counts_and_without_the_last_layer(tmp_path: Path) -> None:
    source, target = MobileNetV2(), MobileNetV2()
    save_file(published(source), tmp_path / "w.safetensors")
    load_imagenet(target, tmp_path / "w.safetensors")
    assert all(torch.equal(v, target.state_dict()[k]) for k, v in source.state_dict().items())


@pytest.mark.parametrize("spoil", ["missing", "foreign", "shape"])
def test_weights_of_another_network_are_refused(tmp_path: Path, spoil: str) -> None:
    weights = published(MobileNetV2())
    if spoil == "missing":
        del weights["features.3.conv.2.weight"]
    elif spoil == "foreign":
        weights["layer1.weight"] = torch.zeros(1)
    else:
        weights["features.0.0.weight"] = torch.zeros(16, 3, 3, 3)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(FathomError, match="--encoder-weights") as caught:
        load_imagenet(MobileNetV2(), tmp_path / "w.safetensors")
    assert caught.value.code is Code.BAD_MODEL


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"PK")
    for path in (tmp_path / "w.safetensors", tmp_path / "nowhere"):
        with pytest.raises(FathomError, match="a readable safetensors file"):
            load_imagenet(MobileNetV2(), path)


def test_the_head_cannot_leave_its_range_and_halves_it_in_ratios() -> None:
    head = MetricHead(0.2, 12.0)
    depth_m = head(torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4]))
    assert depth_m[0].item() == pytest.approx(0.2, rel=1e-5)
    assert depth_m[2].item() == pytest.approx(math.sqrt(0.2 * 12.0), rel=1e-5)
    assert depth_m[4].item() == pytest.approx(12.0, rel=1e-5)
    assert (depth_m.diff() > 0).all()


@pytest.mark.parametrize("widths", [(16, 32, 64, 128, 256), (32, 64, 128, 256)])
def test_answers_are_metres_of_the_frames_size(widths: tuple[int, ...]) -> None:
    found = Student(replace(SPEC, widths=widths)).eval()(frames(2))
    assert found.labels is None
    assert found.depth_m.shape == (2, 64, 96) and found.depth_m.dtype == torch.float32
    assert found.depth_m.min() >= 0.2 and found.depth_m.max() <= 12.0


def test_an_answer_does_not_depend_on_its_batch_mates(student: Student) -> None:
    batch = frames(3)
    with torch.inference_mode():
        together = student(batch).depth_m
        alone = torch.cat([student(frame[None]).depth_m for frame in batch])
    assert torch.allclose(together, alone, rtol=1e-4)


def test_pixels_are_normalised_inside(student: Student) -> None:
    seen: list[torch.Tensor] = []
    hook = student.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    student.predict(np.full((1, 64, 96, 3), (255, 0, 51), np.uint8))
    hook.remove()
    expected = [
        (v - m) / s for v, m, s in zip((1, 0, 0.2), IMAGENET_MEAN, IMAGENET_STD, strict=True)
    ]
    assert seen[0][0, :, 7, 9].tolist() == pytest.approx(expected, abs=1e-5)


def test_every_parameter_learns() -> None:
    student = Student(SPEC).train()
    student(frames(2)).depth_m.log().square().mean().backward()
    still = [n for n, p in student.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_a_student_comes_back_from_its_file(student: Student, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_student(path, student.spec, student.state_dict(), {"epoch": 3})
    again = load_student(path)
    assert again.spec == SPEC and not again.training
    assert read_notes(path) == {"epoch": 3}
    picture = frames(1).numpy()
    assert np.array_equal(again.predict(picture), student.predict(picture))


def test_a_file_without_a_spec_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "s.safetensors")
    with pytest.raises(FathomError, match="a student's checkpoint") as caught:
        load_student(tmp_path / "s.safetensors")
    assert caught.value.code is Code.BAD_MODEL


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.data
def test_the_real_imagenet_weights_load(real_data: Path) -> None:
    path = real_data / "weights" / "mobilenet_v2_imagenet_encoder.safetensors"
    encoder = MobileNetV2()
    load_imagenet(encoder, path)
    first = load_file(path)["features.0.0.weight"]
    assert torch.equal(encoder.state_dict()["features.0.0.weight"], first)
