"""Depth from a teacher: mixed with truth, scale-free, affine; sums done by hand (T10)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from fathom.errors import FathomError
from tests.training.batches import batch_of, gradient_of, plane
from training.data.sample import Batch
from training.losses import LogGradient, SiLog, TermValue, check_used
from training.schedules import Constant, Schedule
from training.students.student import Prediction
from training.terms.affine_kd import AffineKd
from training.terms.fit import linear_fit
from training.terms.log_kd import LogKd
from training.terms.parts import OnPart, Part, Taught, kd_mix

ONE = Constant(1.0)
HALF = Taught(lambda_kd=0.5, unlabelled=False)
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class L1:
    weight: Schedule = ONE
    name: ClassVar[str] = "l1"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        apart = (prediction.depth_m - batch.depth_m).abs() * batch.valid
        return TermValue(apart.sum() / batch.valid.sum(), int(batch.valid.sum()))


def total(lambda_kd: float, depth_m: torch.Tensor, batch: Batch, *, scale_free: bool) -> float:
    sum_ = 0.0
    for term in kd_mix([L1()], Taught(lambda_kd=lambda_kd)):
        if not scale_free and term.name == "l1_unlabelled":
            term = OnPart(L1(), Part.UNLABELLED, ONE)
        sum_ += term.weight(0.5) * float(term(Prediction(depth_m), batch).value)
    return sum_


NOWHERE = torch.zeros(1, 4, 6, dtype=torch.bool)


def test_a_labelled_picture_hears_both() -> None:
    # lambda |s - t| + (1 - lambda) |s - g| = .25 * 1 + .75 * 2
    batch = batch_of(plane(4), taught=plane(1))
    assert total(0.25, plane(2), batch, scale_free=False) == pytest.approx(1.75)


def test_an_unlabelled_picture_hears_the_teacher() -> None:
    batch = batch_of(plane(0), NOWHERE, taught=plane(1))
    assert total(0.25, plane(2), batch, scale_free=False) == pytest.approx(1.0)


def test_pictures_count_alike_whatever_they_have() -> None:
    """One labelled (1.75) and three unlabelled (1.0 each): the mean over four."""
    valid = torch.cat([~NOWHERE, NOWHERE, NOWHERE, NOWHERE])
    batch = batch_of(plane(4, 4) * valid, valid, taught=plane(1, 4))
    assert total(0.25, plane(2, 4), batch, scale_free=False) == pytest.approx(4.75 / 4)


def test_of_an_unlabelled_picture_only_the_shape_counts() -> None:
    taught = torch.rand(1, 4, 6) + 1
    batch = batch_of(plane(0), NOWHERE, taught=taught)
    assert total(0.5, 3 * taught, batch, scale_free=True) == pytest.approx(0, abs=1e-5)
    assert total(0.5, 3 * taught.flip(1), batch, scale_free=True) > 0.1


def test_a_scale_free_term_does_not_pull_at_scale() -> None:
    taught = torch.rand(1, 4, 6) + 1
    batch = batch_of(plane(0), NOWHERE, taught=taught)
    predicted = torch.rand(1, 4, 6) ** 4 + 1
    silog = OnPart(SiLog(weight=ONE), Part.UNLABELLED, ONE, scale_free=True)
    for term in (silog, LogKd(weight=ONE, scale_free=True)):
        pull = gradient_of(term, predicted, batch)
        assert pull.abs().max() > 1e-3
        # Moving all logs together is the sum of gradient times depth.
        assert float((pull * predicted).sum()) == pytest.approx(0, abs=1e-5)


def test_the_teacher_is_not_moved() -> None:
    taught = plane(3).requires_grad_()
    batch = batch_of(plane(4), taught=taught)
    for term in (*kd_mix([SiLog(weight=ONE)], HALF), LogKd(weight=ONE)):
        gradient_of(term, torch.rand(1, 4, 6) + 1, batch)
    assert taught.grad is None


def test_where_the_teacher_says_nothing_nothing_is_asked() -> None:
    taught = plane(3)
    taught[0, 0] = NAN
    for term in (LogKd(weight=ONE), OnPart(SiLog(weight=ONE), Part.TEACHER, ONE)):
        value, elements = term(Prediction(plane(2)), batch_of(plane(4), taught=taught))
        assert elements == 18 and value.isfinite()
        assert not gradient_of(term, plane(2), batch_of(plane(4), taught=taught))[0, 0].any()


def test_a_mix_of_real_terms_has_every_part() -> None:
    mixed = kd_mix((SiLog(weight=ONE), LogGradient(weight=Constant(1.5))), Taught(lambda_kd=0.25))
    weights = {term.name: term.weight(0) for term in mixed}
    assert weights == {
        "silog_truth": 0.75,
        "silog_teacher": 0.25,
        "silog_unlabelled": 1.0,
        "log_gradient_truth": 0.75 * 1.5,
        "log_gradient_teacher": 0.25 * 1.5,
        "log_gradient_unlabelled": 1.5,
    }
    assert {term.name for term in mixed if "taught" in term.needs} == {
        name for name in weights if not name.endswith("truth")
    }


def test_a_part_that_never_comes_is_an_error() -> None:
    term = OnPart(SiLog(weight=ONE), Part.UNLABELLED, ONE)
    value, elements = term(Prediction(plane(2)), batch_of(plane(4), taught=plane(1)))
    assert (float(value), elements) == (0, 0)
    with pytest.raises(FathomError, match="silog_unlabelled"):
        check_used({term.name: elements})


def test_log_kd_by_hand() -> None:
    batch = batch_of(plane(0), NOWHERE, taught=plane(1))
    predicted = plane(1)
    predicted[0, :, :3] = 4.0
    metric, free = LogKd(weight=ONE), LogKd(weight=ONE, scale_free=True)
    # ln 4 on one half; or ln 2 off on both halves once the mean log, ln 2, is taken away.
    assert float(metric(Prediction(predicted), batch).value) == pytest.approx(math.log(2))
    assert float(free(Prediction(predicted), batch).value) == pytest.approx(math.log(2))
    assert float(metric(Prediction(plane(4)), batch).value) == pytest.approx(math.log(4))
    assert float(free(Prediction(plane(4)), batch).value) == pytest.approx(0, abs=1e-6)


def test_affine_kd_asks_for_shape_in_inverse_depth() -> None:
    term = AffineKd(weight=ONE)
    taught = torch.rand(2, 4, 6)
    inverse = 0.3 * taught + 0.2
    batch = batch_of(plane(0, 2), taught=taught)
    assert float(term(Prediction(1 / inverse), batch).value) == pytest.approx(0, abs=1e-5)
    assert float(term(Prediction(1 / inverse.flip(2)), batch).value) > 0.05
    assert gradient_of(term, 1 / inverse.flip(2), batch).abs().max() > 1e-4
    taught[:] = NAN
    value, elements = term(Prediction(1 / inverse), batch_of(plane(0, 2), taught=taught))
    assert (float(value), elements) == (0, 0)


def test_a_linear_fit_finds_the_line() -> None:
    base = torch.rand(2, 5, 7)
    known = torch.rand(2, 5, 7) < 0.8
    spoiled = torch.where(known, 3 * base + 2, 99)
    assert torch.allclose(linear_fit(spoiled, base, known)[known], base[known], atol=1e-5)


def test_a_flat_map_fits_as_the_mean() -> None:
    base = torch.rand(1, 5, 7)
    fitted = linear_fit(torch.full((1, 5, 7), 0.1), base, torch.ones(1, 5, 7, dtype=torch.bool))
    assert torch.allclose(fitted, base.mean().expand_as(fitted), atol=1e-6)
