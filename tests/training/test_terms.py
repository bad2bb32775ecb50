"""Slopes, classes and consistency, with values worked out by hand (T9, T11 to T13, T21, T24)."""

import math

import pytest
import torch
from torch import Tensor

from fathom.errors import Code, FathomError
from tests.training.batches import batch_of, gradient_of, plane
from training.losses import Term
from training.schedules import Constant, OneCycle, Poly, Ramp, Scaled, Steps
from training.students.student import Prediction
from training.terms.affine_kd import AffineKd
from training.terms.consistency import SemanticConsistency, consistency, erode
from training.terms.log_kd import LogKd
from training.terms.segmentation import Segmentation, dice, focal
from training.terms.sobel import LogDepth, SobelGradient, SobelNormal, all_around, slope
from training.terms.spatial_kd import SpatialKd

ONE = Constant(1.0)


def ramp(step: float = 1.0, height: int = 5, width: int = 7) -> Tensor:
    return (torch.arange(width) * step + 1).expand(1, height, width).clone()


def value(term: Term, depth_m: Tensor, truth_m: Tensor) -> float:
    return float(term(Prediction(depth_m), batch_of(truth_m)).value)


# --- slopes ---


def test_a_ramp_of_a_metre_a_pixel_has_slope_one() -> None:
    across, down = slope(ramp())
    assert torch.allclose(across[:, :, 1:-1], torch.ones(1, 5, 5)) and not down.any()
    # At the border the outer neighbour is the pixel itself: half the difference.
    assert torch.allclose(across[:, :, 0], torch.full((1, 5), 0.5))


def test_a_constant_is_flat_up_to_the_border() -> None:
    assert not slope(plane(3)).across.any() and not slope(plane(3)).down.any()


def test_normals_of_a_ramp_against_a_plane() -> None:
    # Inside cos = 1 / sqrt(2), at the two border columns slope 1/2: cos = 1 / sqrt(1.25).
    expected = (5 * (1 - 1 / math.sqrt(2)) + 2 * (1 - 1 / math.sqrt(1.25))) / 7
    assert value(SobelNormal(weight=ONE), ramp(), plane(1, 1, 5, 7)) == pytest.approx(expected)
    assert 1 - 1 / math.sqrt(2) == pytest.approx(0.292893, abs=1e-6)


def test_eight_times_steeper_is_what_the_published_kernel_sees() -> None:
    inner = ramp(8.0, 5, 40)
    got = value(SobelNormal(weight=ONE), inner, plane(1, 1, 5, 40))
    assert got == pytest.approx((38 * 0.875965 + 2 * (1 - 1 / math.sqrt(17))) / 40, abs=1e-5)


def test_flat_against_flat() -> None:
    depth_m, truth_m = plane(2), plane(3)
    assert value(SobelNormal(weight=ONE), depth_m, truth_m) == 0
    assert value(SobelGradient(weight=ONE, in_log=False), depth_m, truth_m) == 0
    assert value(SobelGradient(weight=ONE), depth_m, truth_m) == pytest.approx(2 * math.log(0.5))
    pull = gradient_of(SobelNormal(weight=ONE), depth_m, batch_of(truth_m))
    assert pull.isfinite().all()


def test_log_depth_by_hand() -> None:
    assert value(LogDepth(weight=ONE), plane(2), plane(2)) == pytest.approx(math.log(0.5))
    assert value(LogDepth(weight=ONE), plane(2.5), plane(2)) == pytest.approx(0, abs=1e-6)


def test_gradient_by_hand() -> None:
    got = value(SobelGradient(weight=ONE, in_log=False), ramp(), plane(1, 1, 5, 7))
    assert got == pytest.approx((5 * 1 + 2 * 0.5) / 7)


def test_a_hole_takes_its_neighbours_along() -> None:
    valid = torch.ones(1, 5, 7, dtype=torch.bool)
    valid[0, 2, 3] = False
    assert int((~all_around(valid)).sum()) == 9
    spoiled = plane(1, 1, 5, 7)
    spoiled[0, 2, 3] = 1000
    for term in (SobelGradient(weight=ONE), SobelNormal(weight=ONE), LogDepth(weight=ONE)):
        clean = term(Prediction(ramp()), batch_of(plane(1, 1, 5, 7), valid))
        dirty = term(Prediction(ramp()), batch_of(spoiled, valid))
        assert clean.elements == dirty.elements == (34 if term.name == "log_depth" else 26)
        assert float(clean.value) == pytest.approx(float(dirty.value), abs=1e-6)


# --- classes ---


def test_dice_and_focal_of_zero_logits_by_hand() -> None:
    """All pixels are one class of 14."""
    truth = torch.zeros(14, 10)
    truth[3] = 1
    sigmoid, softmax = torch.full((14, 10), 0.5), torch.full((14, 10), 1 / 14)
    assert float(dice(sigmoid, truth, present_only=False)) == pytest.approx(0.0238095, abs=1e-7)
    assert float(dice(softmax, truth, present_only=False)) == pytest.approx(0.0619048, abs=1e-7)
    assert float(dice(softmax, truth)) == pytest.approx(0.866667, abs=1e-6)
    bits = focal(torch.full((10,), math.log(2)))
    assert float(bits) == pytest.approx(0.173287, abs=1e-6)
    assert 0.1 * (0.0238095 + float(bits)) == pytest.approx(0.0197096, abs=1e-6)


def classify(logits: Tensor, labels: Tensor, *, multilabel: bool = False) -> tuple[float, int]:
    term = Segmentation(weight=ONE, multilabel=multilabel)
    batch = batch_of(torch.ones(labels.shape), labels=labels)
    got = term(Prediction(torch.ones(labels.shape), class_logits=logits), batch)
    return float(got.value), got.elements


@pytest.mark.parametrize("multilabel", [False, True])
def test_unlabelled_pixels_count_for_nothing(multilabel: bool) -> None:
    labels = torch.randint(0, 14, (2, 4, 6), dtype=torch.uint8)
    labels[0, 0] = 0
    logits = torch.randn(2, 13, 4, 6)
    spoiled = torch.where((labels == 0)[:, None], 50.0, logits)
    first, used = classify(logits, labels, multilabel=multilabel)
    assert used == int((labels > 0).sum()) and first > 0.1
    assert classify(spoiled, labels, multilabel=multilabel)[0] == pytest.approx(first)


def test_right_classes_cost_nothing_and_wrong_ones_a_lot() -> None:
    labels = torch.tensor([[[1, 2, 13, 13]]], dtype=torch.uint8)
    right = torch.nn.functional.one_hot(labels.long() - 1, 13).movedim(-1, 1) * 30.0
    assert classify(right, labels)[0] == pytest.approx(0, abs=1e-5)
    assert classify(right.roll(1, dims=1), labels)[0] > 20


def test_no_label_at_all() -> None:
    assert classify(torch.randn(1, 13, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8)) == (0, 0)


# --- semantic-depth consistency ---

STEP = torch.cat([torch.full((1, 3, 5), 0.5), torch.full((1, 2, 5), 0.6)], dim=1)
ONE_CLASS = torch.full((1, 5, 5), 4, dtype=torch.uint8)


def test_a_step_inside_a_class_costs() -> None:
    value, elements = consistency(STEP, ONE_CLASS, (4,))
    assert float(value) == pytest.approx(30.8125, abs=1e-3) and elements == 9
    published = consistency(STEP, ONE_CLASS, (4,), one_sided=True).value
    assert float(published) == pytest.approx(15.9375, abs=1e-3)


def test_columns_cost_what_rows_cost() -> None:
    turned = consistency(STEP.transpose(1, 2), ONE_CLASS, (4,)).value
    assert float(turned) == pytest.approx(30.8125, abs=1e-3)


def test_what_costs_nothing() -> None:
    flat = torch.full((1, 5, 5), 0.5)
    assert float(consistency(flat, ONE_CLASS, (4,)).value) == 0
    assert tuple(consistency(STEP, ONE_CLASS, (1, 2, 3))) == (0, 0)
    split = ONE_CLASS.clone()
    split[0, 3:] = 5
    assert float(consistency(STEP, split, (4, 5)).value) == 0


def test_erosion_takes_the_outside_away() -> None:
    mask = torch.ones(1, 5, 5, dtype=torch.bool)
    assert erode(mask)[0].nonzero().tolist() == [[r, c] for r in (1, 2, 3) for c in (1, 2, 3)]


def test_the_term_pulls_at_a_step() -> None:
    depth_m = 0.1 / STEP
    batch = batch_of(depth_m, labels=ONE_CLASS)
    pull = gradient_of(SemanticConsistency(weight=ONE), depth_m, batch)
    assert pull.abs().max() > 0 and pull.isfinite().all()
    nothing = batch_of(depth_m, labels=torch.zeros_like(ONE_CLASS))
    assert tuple(SemanticConsistency(weight=ONE)(Prediction(depth_m), nothing)) == (0, 0)


# --- nothing to use, and schedules ---


@pytest.mark.parametrize(
    "term",
    [Segmentation(ONE), SemanticConsistency(ONE), LogKd(ONE), AffineKd(ONE), SpatialKd(ONE)],
)
def test_what_a_term_cannot_do_without_is_named(term: Term) -> None:
    with pytest.raises(FathomError, match="in every batch, which the loss term") as caught:
        term(Prediction(plane(1)), batch_of(plane(1)))
    assert caught.value.code is Code.BAD_DATA


@pytest.mark.parametrize("term", [LogDepth(ONE), SobelGradient(ONE), SobelNormal(ONE)])
def test_nothing_valid_is_zero_with_a_zero_gradient(term: Term) -> None:
    nowhere = torch.zeros(1, 5, 7, dtype=torch.bool)
    batch = batch_of(torch.full((1, 5, 7), float("nan")), nowhere)
    assert tuple(term(Prediction(ramp()), batch)) == (0, 0)
    assert not gradient_of(term, ramp(), batch).any()


def test_schedules_at_published_points() -> None:
    poly = Scaled(Poly(), 1e-4)
    points = [poly(p) for p in (0, 0.5, 0.75, 1)]
    assert points == pytest.approx([1e-4, 7.36396e-5, 5.5e-5, 1e-5], rel=1e-5)
    step = Steps(1e-4, at=(15 / 20,))
    assert [step(e / 20) for e in (0, 14.9, 15, 20)] == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5])
    cycle = OneCycle(peak=1.61e-4, warm=0.7, start=1.0, end=1e4)
    assert cycle(0) == cycle(0.7) == pytest.approx(1.61e-4)
    assert cycle(1) == pytest.approx(1.61e-8)
    assert [Ramp(0.2, 0.5)(p) for p in (0, 0.25, 0.7)] == pytest.approx([0, 0.1, 0.2])
    assert Ramp(0.2, 0)(0) == 0.2
