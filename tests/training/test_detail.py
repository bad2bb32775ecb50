"""The terms of base and detail (system 001) on constructed cases, and the recipe's sum of them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fathom.errors import FathomError
from tests.training.batches import batch_of, gradient_of, plane
from training.recipes.detail import DETAIL
from training.schedules import Constant
from training.students.spec import StudentSpec
from training.students.student import Prediction, Student
from training.terms.base_target import OnBase, smooth
from training.terms.rmse_log import RmseLog
from training.terms.sobel import SobelGradient

ONE = Constant(1.0)


def everywhere(depth_m: Tensor) -> Tensor:
    return torch.ones(depth_m.shape, dtype=torch.bool)


def test_rmse_log_by_hand() -> None:
    """Logs of 1 and e against 1: the root of half of one."""
    predicted = torch.tensor([[[1.0, math.e]]])
    found = RmseLog(weight=ONE)(Prediction(predicted), batch_of(torch.ones(1, 1, 2)))
    assert float(found.value) == pytest.approx(math.sqrt(0.5)) and found.elements == 2
    hole = torch.tensor([[[True, False]]])
    masked = RmseLog(weight=ONE)(Prediction(predicted), batch_of(torch.ones(1, 1, 2), hole))
    assert float(masked.value) == pytest.approx(1e-4) and masked.elements == 1
    nowhere = batch_of(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2, dtype=torch.bool))
    assert tuple(RmseLog(weight=ONE)(Prediction(predicted), nowhere)) == (0, 0)


def test_rmse_log_at_the_truth_has_a_finite_gradient() -> None:
    pull = gradient_of(RmseLog(weight=ONE), plane(2), batch_of(plane(2)))
    assert pull.isfinite().all()


def test_a_plane_is_its_own_base() -> None:
    depth_m = plane(3.0, 1, 40, 50)
    assert torch.allclose(smooth(depth_m, everywhere(depth_m)), depth_m, rtol=1e-5)


def test_small_detail_goes_and_a_large_step_stays() -> None:
    checks = (torch.arange(40)[:, None] + torch.arange(60)) % 2 * 2 - 1
    depth_m = (3 * torch.exp(0.03 * checks.float()))[None]
    flat = smooth(depth_m, everywhere(depth_m))
    inner = (slice(None), slice(10, -10), slice(10, -10))
    assert float((flat[inner] / 3).log().abs().max()) < 0.2 * 0.03
    step = torch.cat([plane(1.0, 1, 40, 30), plane(4.0, 1, 40, 30)], dim=2)
    kept = smooth(step, everywhere(step))
    assert float((kept[:, :, 30] / kept[:, :, 29]).log().mean()) > 0.8 * math.log(4)


def test_holes_count_for_nothing() -> None:
    depth_m = plane(3.0, 1, 30, 30)
    valid = everywhere(depth_m)
    valid[:, 10:14, 10:14] = False
    depth_m[~valid] = 0
    found = smooth(depth_m, valid)
    assert torch.allclose(found[valid], torch.full_like(found[valid], 3.0), rtol=1e-5)
    assert not found[~valid].any()
    assert not smooth(depth_m, torch.zeros_like(valid)).any()


def test_a_term_on_the_base_pulls_at_the_base_alone() -> None:
    truth_m = torch.rand(1, 24, 24) + 2
    depth_m = (truth_m + 0.1).requires_grad_()
    base_m = (truth_m + 0.5).requires_grad_()
    term = OnBase(SobelGradient(ONE, in_log=False), ONE)
    found = term(Prediction(depth_m, base_m=base_m), batch_of(truth_m))
    found.value.backward()  # type: ignore[no-untyped-call]
    assert float(found.value.detach()) > 0.01 and found.elements == 24 * 24
    assert base_m.grad is not None and base_m.grad.any() and depth_m.grad is None
    assert term.name == "sobel_gradient_base"
    # The base that is asked for has less slope than the depth it is made of.
    at_target = smooth(truth_m, everywhere(truth_m))
    assert float(term(Prediction(truth_m, base_m=at_target), batch_of(truth_m)).value) < 1e-6


def test_a_student_without_a_base_is_told_so() -> None:
    with pytest.raises(FathomError, match="a base before detail"):
        OnBase(RmseLog(ONE), ONE)(Prediction(plane(1)), batch_of(plane(1)))


def test_three_parts_count_alike_on_both_outputs_and_everything_learns() -> None:
    assert [term.name for term in DETAIL.terms] == [
        f"{part}{of}"
        for of in ("", "_base")
        for part in ("rmse_log", "sobel_gradient", "sobel_normal")
    ]
    assert {term.weight(0.5) for term in DETAIL.terms} == {1.0}
    torch.manual_seed(0)
    student = Student(StudentSpec(height_px=64, width_px=128, detail=True, dropout=0.0)).train()
    rows, cols = torch.meshgrid(torch.arange(64), torch.arange(128), indexing="ij")
    truth_m = (2 + cols / 64 + rows / 128 + 0.3 * ((rows // 8 + cols // 8) % 2))[None].repeat(
        2, 1, 1
    )
    valid = everywhere(truth_m)
    valid[:, :8] = False
    frames = torch.randint(0, 256, (2, 64, 128, 3), dtype=torch.uint8)
    batch = replace(batch_of(truth_m, valid), frames=frames)
    optimizer = torch.optim.Adam(student.parameters(), 1e-3)
    sums = []
    for _ in range(8):
        prediction = student(frames)
        values = [term(prediction, batch) for term in DETAIL.terms]
        assert all(float(value.detach()) > 0 and elements > 0 for value, elements in values)
        total = torch.stack([value for value, _ in values]).sum()
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        sums.append(float(total.detach()))
    assert sums[-1] < 0.8 * sums[0]
    assert all(p.grad is not None and p.grad.any() for p in student.parameters())
    added = student(frames)
    assert not torch.allclose(added.depth_m, added.base_m, rtol=1e-4)
