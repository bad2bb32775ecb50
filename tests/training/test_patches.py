"""Refined targets from patches (T14), the modules of system 001 (T15) and 000 (T16)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fathom.geometry import F32, RGB
from tests.training.batches import batch_of, gradient_of
from training.schedules import Constant
from training.students.attention import BlockAttention, attend, stripe_weights
from training.students.diffusion import Diffusion, diffuse
from training.students.student import Prediction
from training.teachers.patched import Patched, disparity_of
from training.teachers.teacher import Unit
from training.terms.patch_kd import PatchKd
from training.terms.patch_target import (
    SHARES,
    Canvas,
    Grid,
    fit_to,
    refine,
    scale_shares,
    strong_gradients,
    window,
)
from training.terms.ssim import ssim_loss

GRID = Grid(patch=32, stride=16)


def split_picture(height: int = 48, width: int = 96) -> RGB:
    """Noise on the left third, grey elsewhere: only there are patches worth a look."""
    image = np.full((height, width, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (height, width // 3, 1))
    image[:, : width // 3] = noise
    return image


def disparity(height: int = 48, width: int = 96) -> F32:
    rows, columns = np.mgrid[:height, :width]
    return np.asarray(0.1 + 0.002 * columns + 0.003 * rows, np.float32)


def test_the_published_grid_has_22_places() -> None:
    noise = np.zeros((192, 640, 3), np.uint8)
    noise[2::4], noise[3::4] = 255, 255
    assert len(Grid().places(noise)) == 22
    assert Grid().places(np.full((192, 640, 3), 90, np.uint8)) == []


def test_patches_lie_where_the_detail_is() -> None:
    boxes = GRID.places(split_picture())
    assert boxes and all(cols.start <= 16 for _, cols in boxes)
    assert not strong_gradients(split_picture())[:, 40:].any()


def test_shares_sum_to_one_in_all_bands() -> None:
    patch = np.zeros((128, 128, 3), np.uint8)
    patch[:, 3:6] = 250
    shares = scale_shares(patch)
    assert shares.shape == (3, 128, 128) and np.allclose(shares.sum(0), 1)
    seen = {tuple(each) for each in shares.reshape(3, -1).T.round(2).tolist()}
    assert len(seen) == 3 and np.allclose(sorted(seen), sorted(SHARES))


def test_a_plain_patch_is_far_from_contours_and_a_step_is_one() -> None:
    plain = scale_shares(np.full((64, 64, 3), 200, np.uint8))
    assert np.allclose(plain[:, 10, 10], SHARES[2])
    step = np.zeros((64, 64, 3), np.uint8)
    step[:, 32:] = 200
    near = np.flatnonzero(np.isclose(scale_shares(step)[0, 5], SHARES[0][0]))
    assert set(near) >= {31, 32} and near.min() > 20 and near.max() < 44


def test_an_estimate_of_another_scale_comes_home() -> None:
    base = disparity()
    everywhere = np.ones(base.shape, np.bool_)
    assert fit_to(base, 3 * base + 2, everywhere) == pytest.approx(base, abs=1e-5)
    assert np.isfinite(fit_to(base, np.zeros_like(base), everywhere)).all()


def at_home(image: RGB) -> F32:
    """An estimate with the detail of the picture."""
    return np.asarray(image[..., 0] / 255, np.float32)


def test_only_covered_pixels_are_refined() -> None:
    base = disparity()
    refined, covered = refine(base, split_picture(), at_home, at_home, GRID)
    assert covered.any() and not covered.all()
    assert np.array_equal(refined[~covered], base[~covered])
    assert not np.allclose(refined[covered], base[covered], atol=1e-4)
    assert np.isfinite(refined).all()


def test_a_teacher_that_says_nothing_new_changes_little() -> None:
    """A flat answer becomes each patch's mean; where nothing stands out, nothing is refined."""
    flat = np.full((48, 96, 3), 90, np.uint8)
    refined, covered = refine(disparity(), flat, at_home, at_home, GRID)
    assert not covered.any() and np.array_equal(refined, disparity())


def test_the_new_value_is_never_the_larger_part() -> None:
    share = window(np.ones((192, 640), np.bool_))
    assert share.min() >= 0.01 and 0.6 * share.max() == pytest.approx(0.306, abs=1e-3)


def test_a_patch_beside_nothing_ends_without_a_step() -> None:
    covered = np.zeros((120, 160), np.bool_)
    covered[:, :80] = covered[:60] = True
    share = window(covered)
    assert not share[~covered].any()
    assert np.abs(np.diff(share, axis=1)).max() < 0.05
    assert np.abs(np.diff(share, axis=0)).max() < 0.05


def test_zeros_of_a_fitted_patch_are_covered() -> None:
    canvas = Canvas((8, 8))
    canvas.paste((slice(0, 4), slice(0, 4)), np.zeros((4, 4), np.float32))
    assert canvas.covered.sum() == 16
    canvas.paste((slice(2, 6), slice(0, 4)), np.ones((4, 4), np.float32))
    assert canvas.covered.sum() == 24
    # Continuous: the new patch begins faint at the inner end of the overlap.
    assert canvas.values[2, 1] < 1 and canvas.values[4:6, :4].min() == 1


def test_patch_loss_is_zero_at_its_target_and_not_elsewhere() -> None:
    term = PatchKd(weight=Constant(1.0))
    target_m = torch.from_numpy(1 / disparity())[None]
    refined = target_m.clone()
    refined[:, 30:] = float("nan")
    batch = replace(batch_of(torch.ones(1, 48, 96)), refined=refined)
    at_target = term(Prediction(target_m), batch)
    assert float(at_target.value) == pytest.approx(0, abs=1e-6) and at_target.elements == 30 * 96
    # A tenth nearer everywhere: squares of a tenth of disparity over its mean, which is about 1.
    off = target_m / 1.1
    assert float(term(Prediction(off), batch).value) > 2 * 0.8 * 0.1**2
    pull = gradient_of(term, off, batch)
    assert pull[:, :29].any() and not pull[:, 32:].any()


def test_patch_loss_acts_in_a_room_as_in_a_street() -> None:
    """A loss of disparity itself would be a hundred times smaller ten times as far away."""
    term, target_m = PatchKd(weight=Constant(1.0)), torch.from_numpy(1 / disparity())[None]
    near, far = (
        float(
            term(
                Prediction(scale * target_m * 1.1),
                replace(batch_of(target_m), refined=scale * target_m),
            ).value
        )
        for scale in (1.0, 10.0)
    )
    assert near == pytest.approx(far, rel=1e-4)


def test_nothing_covered_is_no_element() -> None:
    nowhere = torch.full((1, 48, 96), float("nan"))
    batch = replace(batch_of(torch.ones(1, 48, 96)), refined=nowhere)
    assert tuple(PatchKd(weight=Constant(1.0))(Prediction(torch.ones(1, 48, 96)), batch)) == (0, 0)


class Says:
    """A metric teacher that answers with grey as depth; counts its pictures."""

    unit = Unit.METRIC

    def __init__(self, factor: float) -> None:
        self.factor, self.key, self.sizes = factor, f"says {factor}", []  # type: ignore[var-annotated]

    def __call__(self, frames: RGB) -> F32:
        self.sizes.extend(frame.shape[:2] for frame in frames)
        return np.asarray(self.factor * (1 + frames[..., 0] / 255), np.float32)


def test_the_refined_teacher_says_metres_where_patches_lie_and_nothing_elsewhere() -> None:
    own, second = Says(1.0), Says(7.0)
    teacher = Patched(own, second, GRID)
    refined_m = teacher(split_picture()[None])[0]
    known = np.isfinite(refined_m)
    assert known[:, :30].any() and not known[:, 60:].any()
    # Both say the same but for scale, which the fit takes away: nothing new, nothing changed.
    assert refined_m[known] == pytest.approx(own(split_picture()[None])[0][known], rel=0.1)
    assert {(48, 96), (48, 48), (32, 32), (16, 16)} == set(own.sizes)
    assert set(second.sizes) == {(32, 32)}


def test_who_refines_decides_the_key() -> None:
    keys = {
        Patched(Says(own), Says(second), grid).key
        for own in (1.0, 2.0)
        for second in (1.0, 2.0)
        for grid in (GRID, Grid())
    }
    assert len(keys) == 8


def test_an_affine_teacher_says_disparity_already() -> None:
    affine = Says(1.0)
    affine.unit = Unit.AFFINE
    picture = split_picture()
    assert np.array_equal(disparity_of(affine)(picture), affine(picture[None])[0])
    assert disparity_of(Says(1.0))(picture)[0, 0] == pytest.approx(
        0.1 / affine(picture[None])[0, 0, 0]
    )


def test_ssim_of_equal_and_opposite_maps() -> None:
    a = torch.rand(1, 1, 8, 8)
    assert torch.allclose(ssim_loss(a, a), torch.zeros(1, 1, 8, 8), atol=1e-5)
    assert float(ssim_loss(a, 1 - a).mean()) > 0.5


# --- diffusion ---


def test_diffusion_by_hand() -> None:
    """Centre 1 among 2s guided by centre 1 among 3s: eight neighbours, each 1 * 2."""
    u, v = torch.full((1, 1, 3, 3), 2.0), torch.full((1, 1, 3, 3), 3.0)
    u[..., 1, 1] = v[..., 1, 1] = 1.0
    assert float(diffuse(u, v, torch.ones(1, 1, 3, 3))[..., 1, 1]) == 16
    flat = torch.full((1, 1, 3, 3), 3.0)
    assert torch.allclose(diffuse(u, flat, torch.ones(1, 1, 3, 3)), torch.zeros(1, 1, 3, 3))


def test_diffusion_is_the_double_loop() -> None:
    torch.manual_seed(0)
    u, v, kernel = torch.randn(2, 3, 5, 6), torch.randn(2, 3, 5, 6), torch.randn(3, 1, 3, 3)
    expected = torch.zeros(2, 3, 5, 6)
    for r in range(5):
        for c in range(6):
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    nr, nc = min(max(r + dr, 0), 4), min(max(c + dc, 0), 5)
                    du, dv = u[..., nr, nc] - u[..., r, c], v[..., nr, nc] - v[..., r, c]
                    expected[..., r, c] += kernel[:, 0, dr + 1, dc + 1] * du * dv
    assert torch.allclose(diffuse(u, v, kernel), expected, atol=1e-5)


def test_diffusion_is_trained_and_repeats() -> None:
    torch.manual_seed(0)
    module = Diffusion(4)
    detail, guide = torch.rand(2, 4, 8, 10), torch.rand(2, 4, 4, 5)
    module(detail, guide).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())
    module.eval()
    assert torch.equal(module(detail, guide), module(detail, guide))
    assert module(detail, guide).shape == (2, 8, 8, 10)


# --- block self-attention ---


def test_attention_is_the_loop_over_stripes() -> None:
    x = torch.randn(2, 3, 4, 8)
    whole = attend(x, 4)
    assert whole.shape == x.shape
    for stripe in range(4):
        cols = slice(2 * stripe, 2 * stripe + 2)
        assert torch.allclose(whole[..., cols], attend(x[..., cols].contiguous(), 1), atol=1e-6)
    assert not torch.allclose(whole, attend(x, 1), atol=1e-3)
    assert not attend(torch.zeros(1, 3, 4, 8), 2).any()


def test_weights_are_shares_of_unlike_channels() -> None:
    weights = stripe_weights(torch.randn(2, 3, 10))
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3))
    # Row maximum minus energy: the most alike channel gets the least.
    alike = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    assert stripe_weights(alike)[0, 0].argmax() == 2


def test_attention_grows_from_nothing() -> None:
    module, x = BlockAttention(2), torch.randn(1, 3, 4, 8)
    assert torch.equal(module(x), x)
    module(x).square().sum().backward()
    assert module.gate.grad is not None and module.gate.grad.abs() > 0
    published = BlockAttention(2, gate=1.0)
    assert torch.allclose(published(x), attend(x, 2) + x)
