"""What every student keeps, whatever it is made of (T20, T23)."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.students.kinds import ALL, SIZE, frames, lively, name_of
from training.students.checkpoint import load_student, save_student
from training.students.student import Prediction, Student


@pytest.fixture(scope="module", params=ALL, ids=name_of)
def student(request: pytest.FixtureRequest) -> Iterator[Student]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield lively(request.param)
    torch.set_num_threads(threads)


def answer(student: Student, batch: Tensor) -> Prediction:
    with torch.inference_mode():
        found: Prediction = student(batch)
    return found


def depth(student: Student, found: Prediction) -> Tensor:
    """What the head says: metres, or inverse depth."""
    if student.spec.head == "relative":
        assert found.inv_depth is not None
        return found.inv_depth
    return found.depth_m


def test_depth_is_float32_finite_and_in_range(student: Student) -> None:
    found = answer(student, frames(2))
    for each in (found.depth_m, found.inv_depth):
        assert each is None or (each.shape == (2, *SIZE) and each.dtype == torch.float32)
    said = depth(student, found)
    assert said.isfinite().all() and said.std() > 0
    if student.spec.head == "relative":
        assert found.depth_m.isnan().all()  # no metres, by nobody's accident
        assert said.min() > 0 and said.max() < 1
    else:
        assert found.inv_depth is None
        assert (
            said.min() >= student.spec.min_m * 0.9999 and said.max() <= student.spec.max_m * 1.0001
        )


def test_classes_are_ids_from_1_in_eval_mode_and_logits_in_training(student: Student) -> None:
    found = answer(student, frames(2))
    assert found.class_logits is None
    if not student.spec.classes:
        assert found.labels is None
        return
    assert found.labels is not None
    assert found.labels.shape == (2, *SIZE) and found.labels.dtype == torch.uint8
    assert found.labels.min() >= 1 and found.labels.max() <= 13
    logits = student.train()(frames(2)).class_logits
    student.eval()
    assert logits.shape == (2, 13, *SIZE) and logits.dtype == torch.float32
    assert student(frames(2), classes=False).labels is None


def test_maps_come_coarse_to_fine_as_the_decoder_says(student: Student) -> None:
    decoder = student.decoder
    wanted = [
        (channels, SIZE[0] // stride, SIZE[1] // stride)
        for channels, stride in zip(decoder.channels, decoder.strides, strict=True)
    ]
    if decoder.halves:  # 96 / 2 is no multiple of 32: the coarsest taps are rounded up
        wanted[0] = (wanted[0][0], 2, 3)
    assert [tuple(each.shape[1:]) for each in answer(student, frames(2)).features] == wanted


def test_the_same_frames_get_the_same_answer(student: Student) -> None:
    one, other = (answer(student, frames(2)) for _ in range(2))
    assert torch.equal(depth(student, one), depth(student, other))


def test_an_answer_does_not_depend_on_its_batch_mates(student: Student) -> None:
    batch = frames(3)
    together = answer(student, batch)
    alone = [answer(student, frame[None]) for frame in batch]
    said = torch.cat([depth(student, each) for each in alone])
    assert torch.allclose(depth(student, together), said, rtol=1e-3)
    if together.labels is not None:
        labels = torch.cat([each.labels for each in alone if each.labels is not None])
        assert (together.labels == labels).float().mean() > 0.999


def test_bfloat16_stays_close(student: Student) -> None:
    exact = depth(student, answer(student, frames(2)))
    with torch.autocast("cpu", torch.bfloat16):
        found = answer(student, frames(2))
    rough = depth(student, found)
    assert rough.dtype == torch.float32
    assert float(((rough - exact).abs() / exact).median()) < 0.05


def test_training_mode_takes_statistics_and_eval_mode_does_not(student: Student) -> None:
    def statistics() -> dict[str, Tensor]:
        own = student.state_dict()
        return {key: own[key].clone() for key in own if "running" in key}

    before = statistics()
    answer(student, frames(2))
    assert all(torch.equal(value, before[key]) for key, value in statistics().items())
    student.train()
    answer(student, frames(2))
    student.eval()
    assert not all(torch.equal(value, before[key]) for key, value in statistics().items())
    student.load_state_dict(before, strict=False)


def test_every_parameter_learns(student: Student) -> None:
    found = student.train()(frames(4))
    loss = depth(student, found).log().square().mean()
    if found.class_logits is not None:
        loss = loss + found.class_logits.square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    student.eval()
    still = [n for n, p in student.named_parameters() if p.grad is None or not p.grad.any()]
    student.zero_grad()
    assert not still


def test_a_student_comes_back_from_its_file(student: Student, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_student(path, student.spec, student.state_dict(), {})
    again = load_student(path)
    assert again.spec == student.spec and not again.training
    assert torch.equal(
        depth(again, answer(again, frames(1))), depth(student, answer(student, frames(1)))
    )


def test_pixels_are_normalised_inside(student: Student) -> None:
    seen: list[Tensor] = []
    hook = student.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    student.predict(np.full((1, *SIZE, 3), (255, 0, 51), np.uint8))
    hook.remove()
    # ImageNet's mean and spread of red, green and blue.
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    assert seen[0][0, :, 7, 9].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_student_of_ours_is_within_its_budget() -> None:
    with torch.device("meta"):
        counts = {name_of(one): parameters(Student(one)) for one in ALL}
    for name, count in counts.items():
        print(f"{name:<44}{count / 1e6:8.3f} M")  # noqa: T201  # the table: pytest -s
    ours = [count for name, count in counts.items() if name.startswith("mobilenet-v2-slim")]
    assert len(ours) == 6 and max(ours) <= 4_000_000


def parameters(student: Student) -> int:
    return sum(math.prod(each.shape) for each in student.parameters())
