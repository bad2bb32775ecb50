"""Students with a detail branch (system 001) and with block self-attention (system 000)."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fathom.errors import Code, FathomError
from training.students.checkpoint import load_student, save_student
from training.students.decoder import SlimDecoder
from training.students.spec import StudentSpec
from training.students.student import Prediction, Student

SIZE = (64, 128)
DETAIL = StudentSpec(height_px=SIZE[0], width_px=SIZE[1], detail=True)
ATTENTIVE = replace(DETAIL, detail=False, attention=2)


def frames(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    coarse = torch.rand((count, 3, 5, 7), generator=generator) * 255
    fine = torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic")
    return fine.clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def grown(spec: StudentSpec) -> Student:
    """A student whose branch and gates have left zero, in eval mode."""
    torch.manual_seed(0)
    student = Student(spec).train()
    with torch.no_grad():
        for module in student.attention:
            module.gate.fill_(0.5)  # type: ignore[operator]
        if student.detail is not None:
            student.detail.decoder.predict.weight.normal_(std=0.3)
        student(frames(4))
        assert isinstance(student.decoder, SlimDecoder)
        student.decoder.predict.weight.mul_(10)  # fresh weights say nearly the same everywhere
    return student.eval()


@pytest.fixture(scope="module", params=[DETAIL, ATTENTIVE], ids=["detail", "attention"])
def student(request: pytest.FixtureRequest) -> Student:
    return grown(request.param)


def answer(student: Student, batch: Tensor) -> Prediction:
    with torch.inference_mode():
        found: Prediction = student(batch)
    return found


def logits(depth_m: Tensor, spec: StudentSpec) -> Tensor:
    """What the metric head was given: the inverse of a sigmoid in log depth."""
    share = (depth_m / spec.min_m).log() / torch.tensor(spec.max_m / spec.min_m).log()
    return torch.logit(share.double()).float()


def test_answers_repeat_and_are_metres_in_range(student: Student) -> None:
    one, again = answer(student, frames(2)).depth_m, answer(student, frames(2)).depth_m
    assert torch.equal(one, again)
    assert one.shape == (2, *SIZE) and one.std() > 0
    assert one.min() >= 0.2 * 0.9999 and one.max() <= 12 * 1.0001


def test_an_answer_does_not_depend_on_its_batch_mates(student: Student) -> None:
    together = answer(student, frames(3)).depth_m
    alone = torch.cat([answer(student, frame[None]).depth_m for frame in frames(3)])
    assert torch.allclose(together, alone, rtol=1e-3)


def test_every_parameter_learns(student: Student) -> None:
    found = student.train()(frames(4))
    found.depth_m.log().square().mean().backward()
    student.eval()
    still = [n for n, p in student.named_parameters() if p.grad is None or not p.grad.any()]
    student.zero_grad()
    assert not still


def test_bfloat16_stays_close(student: Student) -> None:
    exact = answer(student, frames(2)).depth_m
    with torch.autocast("cpu", torch.bfloat16):
        rough = answer(student, frames(2)).depth_m
    assert rough.dtype == torch.float32
    assert float(((rough - exact).abs() / exact).median()) < 0.05


def test_a_student_comes_back_from_its_file(student: Student, tmp_path: Path) -> None:
    save_student(tmp_path / "s", student.spec, student.state_dict(), {})
    again = load_student(tmp_path / "s")
    assert again.spec == student.spec
    assert torch.equal(answer(again, frames(1)).depth_m, answer(student, frames(1)).depth_m)


def test_detail_is_added_to_the_base() -> None:
    """In logits: the answer less the base is the branch's own output, pixel by pixel."""
    student, said = grown(DETAIL), []
    assert student.detail is not None
    student.detail.register_forward_hook(lambda _, __, output: said.append(output))
    found = answer(student, frames(2))
    assert found.base_m is not None and said[0].std() > 1e-3
    added = logits(found.depth_m, DETAIL) - logits(found.base_m, DETAIL)
    assert torch.allclose(added, said[0].squeeze(1), atol=1e-3)


def test_a_fresh_student_is_its_base() -> None:
    found = answer(Student(DETAIL).eval(), frames(1))
    assert found.base_m is not None and torch.equal(found.depth_m, found.base_m)


def test_the_base_sees_half_the_picture_and_detail_all_of_it() -> None:
    """Swapping the two pixels of every pair leaves the base as it is."""
    student, batch = grown(DETAIL), frames(1)
    noisy = batch.clone()
    noisy[:, ::2], noisy[:, 1::2] = 90, 160
    swapped = noisy.clone()
    swapped[:, ::2], swapped[:, 1::2] = noisy[:, 1::2], noisy[:, ::2]
    one, other = answer(student, noisy), answer(student, swapped)
    assert one.base_m is not None and other.base_m is not None
    assert torch.allclose(one.base_m, other.base_m, rtol=1e-4)
    assert not torch.allclose(one.depth_m, other.depth_m, rtol=1e-3)


def test_attention_is_at_strides_4_to_32_and_changes_the_answer() -> None:
    student = grown(ATTENTIVE)
    assert len(student.attention) == 4
    attended = answer(student, frames(1)).depth_m
    with torch.no_grad():
        for module in student.attention:
            module.gate.zero_()  # type: ignore[operator]
    assert not torch.allclose(attended, answer(student, frames(1)).depth_m, rtol=1e-4)


@pytest.mark.parametrize(
    "changes", [{"head": "bins"}, {"classes": 13}, {"decoder": "se5x5"}, {"width_px": 96}]
)
def test_detail_goes_with_few_others(changes: dict[str, object]) -> None:
    with pytest.raises(FathomError, match="leave --detail out") as caught:
        replace(DETAIL, **changes)  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_MODEL
