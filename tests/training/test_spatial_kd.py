"""A student in front of its teacher's frozen decoder: what moves and what is replaced."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fathom.errors import FathomError
from tests.training.batches import batch_of, plane
from training.__main__ import main
from training.data.sample import Batch
from training.loop import BEST, METRICS
from training.recipes.spatial_kd import SPATIAL_KD, TaughtByDecoder, body_of
from training.students.checkpoint import load_student, save_student
from training.students.spec import StudentSpec
from training.students.student import Student
from training.terms.replace_block import ReplaceDrop

SPEC = StudentSpec(height_px=128, width_px=128, decoder="reference-002")


@dataclass(frozen=True)
class Asked:
    feature_teacher: Path | None
    epochs: int = 1


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("teacher") / "best.safetensors"
    spec = replace(SPEC, encoder="resnet18")
    save_student(path, spec, Student(spec).state_dict(), {})
    return path


@pytest.fixture
def student() -> Student:
    torch.manual_seed(0)
    return Student(SPEC).train()


def batch() -> Batch:
    frames = torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8)
    return replace(batch_of(plane(2, 2, 128, 128)), frames=frames)


def state(*modules: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for module in modules for value in module.state_dict().values()]


def test_three_steps_move_the_encoder_and_its_adapters_alone(
    student: Student, teacher: Path
) -> None:
    companion = TaughtByDecoder(Asked(teacher), student)
    frozen = (companion.teacher, body_of(student))
    fixed, began = state(*frozen), state(student.encoder)
    learning = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=1e-3)
    for _ in range(3):
        prediction, known = companion(student, batch(), 1.0)
        values = [term(prediction, known) for term in SPATIAL_KD.terms]
        assert all(float(value.detach()) > 0 and used > 0 for value, used in values)
        optimizer.zero_grad()
        torch.stack([value for value, _ in values]).sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.any() for p in learning)
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(fixed, state(*frozen), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(began, state(student.encoder), strict=True))
    assert all(p.grad is None for module in frozen for p in module.parameters())


def test_the_decoder_begins_as_the_teacher_s(student: Student, teacher: Path) -> None:
    companion = TaughtByDecoder(Asked(teacher), student)
    pairs = zip(state(body_of(student)), state(body_of(companion.teacher)), strict=True)
    assert all(torch.equal(own, other) for own, other in pairs)


def test_replacing_grows_and_is_there_in_training_only(student: Student, teacher: Path) -> None:
    companion = TaughtByDecoder(Asked(teacher, epochs=50), student)
    drop = ReplaceDrop(weight=SPATIAL_KD.terms[-1].weight)
    early, late = (drop(*companion(student, batch(), done)).elements for done in (0.0, 0.6))
    assert early == 0 and late > 0
    # Afterwards the student is a plain network again, which knows no teacher.
    frames = batch().frames
    student.eval()
    assert torch.equal(student(frames).depth_m, student(frames).depth_m)


def test_what_is_replaced_changes_depth_and_not_the_map_it_was_in(
    student: Student, teacher: Path
) -> None:
    """With every positive value of one site replaced, the map itself stays, the next one moves."""
    companion = TaughtByDecoder(Asked(teacher), student.eval())
    known = batch()
    plain = student(known.frames).features
    companion.share = lambda _: 0.0  # type: ignore[assignment]  # a schedule of its own
    untouched = companion(student, known, 1.0)[0].depth_m
    assert torch.allclose(untouched, student(known.frames).depth_m, rtol=1e-4)
    companion.share = lambda _: 4.0  # type: ignore[assignment]
    companion.sites[0].eval()  # the one before the first map that is looked at
    replaced, found = companion(student, known, 1.0)
    assert torch.allclose(replaced.features[0], plain[0], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(replaced.features[1], plain[1], rtol=1e-1, atol=1e-1)
    assert found.replaced is not None and found.replaced.shape == (2, 4, 2)


def test_the_encoder_alone_may_differ(teacher: Path) -> None:
    with pytest.raises(FathomError, match="like the student but for its encoder"):
        TaughtByDecoder(Asked(teacher), Student(replace(SPEC, max_m=80.0)))
    with pytest.raises(FathomError, match="decoder reference-002; got one with the decoder slim"):
        TaughtByDecoder(Asked(teacher), Student(replace(SPEC, decoder="slim")))


@pytest.mark.slow
def test_a_run_from_the_command(tiny_nyu: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "teacher.safetensors", tmp_path / "run"
    spec = StudentSpec(decoder="reference-002").enlarged(2)
    save_student(path, spec, Student(spec).state_dict(), {})
    said = ["--recipe", "spatial-kd", "--data", str(tiny_nyu), "--out", str(out)]
    said += ["--epochs", "1", "--batch-size", "2", "--threads", "1"]
    assert main(said) == 2  # no teacher was named
    assert main([*said, "--feature-teacher", str(path)]) == 0
    told = json.loads((out / METRICS).read_text())
    assert all(told[name] > 0 for name in ("silog", "spatial_kd", "replace_drop"))
    shipped, known = load_student(out / BEST), load_student(path)
    pairs = zip(state(body_of(shipped)), state(body_of(known)), strict=True)
    assert all(torch.equal(own, other) for own, other in pairs)
