"""Loss values against sums done by hand (T1, T2), and what happens when there is nothing to sum."""

import math

import pytest
import torch
from torch import Tensor

from fathom.errors import Code, FathomError
from training.data.sample import Batch
from training.losses import LogGradient, SiLog, Term, check_used
from training.schedules import Constant, OneCycle
from training.students.student import Prediction

SILOG = SiLog(weight=Constant(1.0))
GRADIENT = LogGradient(weight=Constant(1.0))


def batch_of(truth_m: Tensor, valid: Tensor | None = None) -> Batch:
    frames = torch.zeros(*truth_m.shape, 3, dtype=torch.uint8)
    everywhere = torch.ones(truth_m.shape, dtype=torch.bool)
    return Batch(frames=frames, depth_m=truth_m, valid=everywhere if valid is None else valid)


def value_of(term: Term, predicted_m: Tensor, batch: Batch) -> float:
    return float(term(Prediction(predicted_m), batch).value)


def row(*values: float) -> Tensor:
    return torch.tensor([[values]], dtype=torch.float32)


def test_silog_of_a_doubled_plane() -> None:
    # d = ln 2 twice: 10 sqrt(0.480453 - 0.85 * 0.480453)
    assert value_of(SILOG, row(2, 2), batch_of(row(1, 1))) == pytest.approx(2.68455, abs=1e-5)


def test_silog_of_one_pixel_off_by_e() -> None:
    # mean d^2 = 1/2, mean d = 1/2: 10 sqrt(0.5 - 0.85 / 4)
    assert value_of(SILOG, row(math.e, 1), batch_of(row(1, 1))) == pytest.approx(5.36190, abs=1e-5)


def test_silog_over_one_less_feels_few_pixels_more() -> None:
    unbiased = SiLog(weight=Constant(1.0), unbiased=True)
    # The same where nothing spreads; else, with n = 2, the variance 1/4 becomes 1/2:
    # 10 sqrt(0.5 + 0.15 / 4).
    assert value_of(unbiased, row(2, 2), batch_of(row(1, 1))) == pytest.approx(2.68455, abs=1e-5)
    assert value_of(unbiased, row(math.e, 1), batch_of(row(1, 1))) == pytest.approx(
        7.33144, abs=1e-5
    )
    many = torch.rand(1, 200, 200) + 1
    one, other = (value_of(term, many, batch_of(many.flip(1))) for term in (SILOG, unbiased))
    assert one == pytest.approx(other, rel=1e-4)


def test_silog_has_a_finite_gradient_at_a_perfect_prediction() -> None:
    predicted = row(1, 3).requires_grad_()
    value = SILOG(Prediction(predicted), batch_of(row(1, 3))).value
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() <= 0.01 + 1e-6
    assert predicted.grad is not None and predicted.grad.isfinite().all()


@pytest.mark.parametrize("scale", [0.5, 1.1, 3.0])
def test_silog_feels_a_wrong_scale_by_its_smaller_part(scale: float) -> None:
    truth = torch.rand(2, 5, 7) * 4 + 0.5
    expected = 10 * math.sqrt(0.15) * abs(math.log(scale))
    assert value_of(SILOG, truth * scale, batch_of(truth)) == pytest.approx(expected, rel=1e-3)


def test_gradient_of_a_wrong_scale_is_zero() -> None:
    truth = torch.rand(2, 16, 16) + 1
    assert value_of(GRADIENT, truth * 2, batch_of(truth)) == pytest.approx(0, abs=1e-5)


def test_gradient_of_a_step_by_hand() -> None:
    # 2x2, d = [[0, 1], [0, 1]]: across 1 and 1, down 0 and 0, mean 1/2; coarser scales are 1x1.
    predicted = torch.tensor([[[1, math.e], [1, math.e]]])
    value, elements = GRADIENT(Prediction(predicted), batch_of(torch.ones(1, 2, 2)))
    assert value.item() == pytest.approx(0.5)
    assert elements == 4


def test_gradient_takes_no_step_across_a_hole() -> None:
    valid = torch.tensor([[[True, False, True]]])
    value, elements = GRADIENT(Prediction(row(1, 5, 9)), batch_of(row(1, 1, 1), valid))
    # Of three pixels in a row, strides 1 and 2 leave one pair without a hole: first and last.
    assert elements == 1
    assert value.item() == pytest.approx(math.log(9), rel=1e-6)


@pytest.mark.parametrize("term", [SILOG, GRADIENT])
def test_nothing_valid_is_zero_with_a_zero_gradient_and_counted_as_nothing(term: Term) -> None:
    predicted = torch.rand(2, 8, 8, requires_grad=True)
    nowhere = torch.zeros(2, 8, 8, dtype=torch.bool)
    value, elements = term(Prediction(predicted), batch_of(torch.zeros(2, 8, 8), nowhere))
    value.backward()  # type: ignore[no-untyped-call]
    assert (value.item(), elements) == (0, 0)
    assert predicted.grad is not None and not predicted.grad.any()


@pytest.mark.parametrize("term", [SILOG, GRADIENT])
def test_truth_that_is_not_valid_changes_nothing(term: Term) -> None:
    truth, predicted = torch.rand(2, 8, 8) + 1, torch.rand(2, 8, 8) + 1
    valid = torch.rand(2, 8, 8) < 0.7
    spoiled = torch.where(valid, truth, truth * 1000)
    first = value_of(term, predicted, batch_of(truth, valid))
    assert value_of(term, predicted, batch_of(spoiled, valid)) == first


def test_a_term_without_elements_for_an_epoch_is_an_error() -> None:
    with pytest.raises(FathomError, match="loss term silog to use some pixels") as caught:
        check_used({"log_gradient": 12, "silog": 0})
    assert caught.value.code is Code.BAD_DATA


def test_one_cycle_starts_low_peaks_and_ends_near_zero() -> None:
    rate = OneCycle(peak=2.0, warm=0.25, start=20.0, end=1000.0)
    assert rate(0.0) == pytest.approx(0.1)
    assert rate(0.25) == pytest.approx(2.0)
    assert rate(0.625) == pytest.approx((2.0 + 0.002) / 2)
    assert rate(1.0) == pytest.approx(0.002)
