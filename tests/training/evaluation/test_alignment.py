"""What is fitted is exactly what the name says, and nothing is fitted that needs no fit."""

import numpy as np
import pytest

from fathom.errors import Code, FathomError
from training.evaluation.alignment import FARTHEST_M, Alignment, align, fit_line, refuse_unit
from training.teachers.teacher import Unit

TRUTH_M = np.random.default_rng(0).uniform(1, 8, (6, 8)).astype(np.float32)
COUNTED = np.random.default_rng(1).random((6, 8)) < 0.8


def test_raw_answers_stay_as_they_are() -> None:
    answer = 3 * TRUTH_M
    assert align(answer, TRUTH_M, COUNTED, Unit.METRIC, Alignment.RAW) is answer


@pytest.mark.parametrize("unit", [Unit.METRIC, Unit.RELATIVE])
def test_a_factor_is_found_by_the_median(unit: Unit) -> None:
    spoiled = np.where(COUNTED, 0.25 * TRUTH_M, 999).astype(np.float32)
    found = align(spoiled, TRUTH_M, COUNTED, unit, Alignment.MEDIAN)
    assert found[COUNTED] == pytest.approx(TRUTH_M[COUNTED], rel=1e-5)


def test_factor_and_shift_of_inverse_depth_are_found() -> None:
    disparity = (1 / TRUTH_M - 0.05) * 700
    spoiled = np.where(COUNTED, disparity, 1e5).astype(np.float32)
    found = align(spoiled, TRUTH_M, COUNTED, Unit.AFFINE, Alignment.AFFINE)
    assert found[COUNTED] == pytest.approx(TRUTH_M[COUNTED], rel=1e-4)


@pytest.mark.parametrize("unit", [Unit.METRIC, Unit.RELATIVE])
def test_depth_is_inverted_before_it_is_fitted(unit: Unit) -> None:
    shifted = (1 / (1 / TRUTH_M + 0.3)).astype(np.float32)
    found = align(shifted, TRUTH_M, COUNTED, unit, Alignment.AFFINE)
    assert found[COUNTED] == pytest.approx(TRUTH_M[COUNTED], rel=1e-4)


def test_what_a_fit_puts_behind_the_horizon_is_far_and_not_negative() -> None:
    disparity = (1 / TRUTH_M).astype(np.float32)
    disparity[~COUNTED] = -5
    found = align(disparity, TRUTH_M, COUNTED, Unit.AFFINE, Alignment.AFFINE)
    assert found[~COUNTED] == pytest.approx(FARTHEST_M)


def test_a_flat_answer_is_fitted_to_the_mean() -> None:
    y = np.array([1.0, 2.0, 6.0])
    assert fit_line(np.full(3, 7.0), y) == (0.0, 3.0)
    assert fit_line(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, 9.0])) == pytest.approx((2, 3))


@pytest.mark.parametrize(
    ("unit", "how"),
    [
        (Unit.RELATIVE, Alignment.RAW),
        (Unit.AFFINE, Alignment.RAW),
        (Unit.AFFINE, Alignment.MEDIAN),
    ],
)
def test_what_has_no_metres_is_not_compared_as_if_it_had(unit: Unit, how: Alignment) -> None:
    with pytest.raises(FathomError, match=f"for {unit} answers; got {how}") as caught:
        refuse_unit(unit, how)
    assert caught.value.code is Code.BAD_SETTING


@pytest.mark.parametrize("how", list(Alignment))
def test_metres_may_be_compared_in_every_way(how: Alignment) -> None:
    refuse_unit(Unit.METRIC, how)
