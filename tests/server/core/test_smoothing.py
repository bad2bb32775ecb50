"""Still pixels are averaged, moving ones are not, and no map is bent beyond its bounds.

A still pixel moves by w = 1 - 0.95 * strength towards each new map: an exponential average. Of
noise with variance v it leaves v * w / (2 - w), and of the difference of two frames, which had 2 v,
w^2 * (v + v * w / (2 - w)) = 2 v * w^2 / (2 - w).
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fathom.geometry import F32, RGB, Size
from server.core.smoothing import Smoother

SIZE: Size = (48, 64)
STRENGTHS = st.floats(0, 1)
SEEDS = st.integers(0, 2**32 - 1)


def grey(level: int, size: Size = SIZE) -> RGB:
    return np.full((*size, 3), level, np.uint8)


def plane(depth_m: float, size: Size = SIZE) -> F32:
    return np.full(size, depth_m, np.float32)


def noise(rng: np.random.Generator, size: Size = SIZE) -> RGB:
    return rng.integers(0, 256, (*size, 3)).astype(np.uint8)


def room(rng: np.random.Generator, size: Size = SIZE) -> F32:
    return rng.uniform(0.2, 12, size).astype(np.float32)


def still_weight(strength: float) -> float:
    return 1 - 0.95 * strength


@given(SEEDS)
def test_no_strength_is_identity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    smoother = Smoother(0)
    for _ in range(3):
        depth_m = room(rng)
        assert smoother.smooth(depth_m, noise(rng)) is depth_m


@given(STRENGTHS, SEEDS)
def test_the_first_frame_is_unchanged(strength: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth_m = room(rng)
    np.testing.assert_array_equal(Smoother(strength).smooth(depth_m, noise(rng)), depth_m)


@pytest.mark.parametrize("strength", [0.3, 0.5, 0.8])
def test_noise_on_a_still_scene_shrinks_as_an_exponential_average_says(strength: float) -> None:
    """Sigma is 2 cm at 2 m; after 60 frames nothing is left of the first one, 0.76^60 < 1e-7."""
    rng = np.random.default_rng(0)
    smoother, size = Smoother(strength), (96, 128)
    sigma_m, smoothed_m = 0.02, []
    for _ in range(80):
        depth_m = rng.normal(2, sigma_m, size).astype(np.float32)
        smoothed_m.append(smoother.smooth(depth_m, grey(90, size)))
    settled_m = np.stack(smoothed_m[60:])
    w = still_weight(strength)
    assert settled_m.mean() == pytest.approx(2, abs=1e-3)
    assert settled_m.std() == pytest.approx(sigma_m * np.sqrt(w / (2 - w)), rel=0.05)
    left = np.diff(settled_m, axis=0).std() / (sigma_m * np.sqrt(2))
    assert left == pytest.approx(w / np.sqrt(2 - w), rel=0.05)
    if strength >= 0.5:
        assert left < 0.5


@pytest.mark.parametrize("near_m", [2.0, 3.8])
@pytest.mark.parametrize("strength", [0.3, 0.8, 1.0])
def test_what_moves_is_followed_at_once(strength: float, near_m: float) -> None:
    """A bright box passes a wall 4 m away: no ghost behind it and no halo before it."""
    smoother = Smoother(strength)
    for left in range(0, 48, 5):
        image, depth_m = grey(60), plane(4)
        image[12:36, left : left + 16] = 180
        depth_m[12:36, left : left + 16] = near_m
        np.testing.assert_allclose(smoother.smooth(depth_m, image), depth_m, rtol=1e-6)


def test_changes_too_small_to_see_add_up() -> None:
    """A box darkens by 2 levels and recedes by 2 % a frame, each less than noise.

    Its picture falls behind with its depth and gives it away: at w = 0.24 by 2 / 0.24 = 8 levels,
    nearly three times the noise. So w rises to about 0.44 and the lag ends at 2 % * 0.56 / 0.44;
    held against the last picture alone it would be 2 % * 0.76 / 0.24, over 6 %.
    """
    smoother = Smoother(0.8)
    box, inside = (slice(12, 36), slice(16, 32)), (slice(14, 34), slice(18, 30))  # by the blur
    for i in range(40):
        image, depth_m = grey(60), plane(4)
        image[box] = 180 - 2 * i
        depth_m[box] = 2 * 1.02**i
        smoothed_m = smoother.smooth(depth_m, image)
        assert np.all(smoothed_m[inside] >= 0.97 * depth_m[inside])


@given(STRENGTHS.filter(lambda s: s > 0.01), st.floats(0.8, 1.25))
def test_a_step_that_the_picture_does_not_show_fades(strength: float, factor: float) -> None:
    """A thing as bright as the wall behind it leaves a ghost no longer than noise would last."""
    smoother = Smoother(strength)
    smoother.smooth(plane(4), grey(60))
    depth_m = plane(4)
    depth_m[12:36, 16:32] = 4 * factor
    for n in range(1, 12):
        ghost_m = np.abs(smoother.smooth(depth_m, grey(60)) - depth_m).max()
        assert ghost_m <= 4 * abs(factor - 1) * (1 - still_weight(strength)) ** n + 1e-5


@pytest.mark.parametrize(
    ("depth_m", "level"),
    [
        pytest.param(4.5, 200, id="picture and depth"),
        pytest.param(6.0, 60, id="depth alone"),
        pytest.param(4.0, 200, id="picture alone"),
    ],
)
def test_a_cut_starts_again(depth_m: float, level: int) -> None:
    smoother = Smoother(1)
    for _ in range(5):
        smoother.smooth(plane(4), grey(60))
    np.testing.assert_array_equal(smoother.smooth(plane(depth_m), grey(level)), plane(depth_m))
    kept = smoother.smooth(plane(depth_m * 1.02), grey(level))
    assert np.all(np.abs(kept - depth_m) < 0.005 * depth_m), "the new scene is what is averaged now"


def test_a_cut_starts_again_where_two_scenes_agree_by_chance() -> None:
    """A tenth of the new picture looks as before, 5 % farther away: it is not the same thing."""
    smoother = Smoother(1)
    smoother.smooth(plane(4), grey(60))
    image, depth_m = grey(200), plane(7)
    image[:5], depth_m[:5] = 60, 4.2
    np.testing.assert_array_equal(smoother.smooth(depth_m, image), depth_m)


def test_another_size_starts_again() -> None:
    smoother = Smoother(1)
    smoother.smooth(plane(4), grey(60))
    turned = (SIZE[1], SIZE[0])
    np.testing.assert_array_equal(
        smoother.smooth(plane(4.1, turned), grey(60, turned)), plane(4.1, turned)
    )


@pytest.mark.parametrize("holes", [0.0, 0.3])
@pytest.mark.parametrize("strength", [0.5, 0.8])
def test_a_scale_that_swings_alone_is_removed(strength: float, holes: float) -> None:
    """The scale follows by w^2, so of a swing it leaves w^2 / (2 - w^2), and shapes stay exact."""
    rng = np.random.default_rng(0)
    smoother, depth_m = Smoother(strength), room(rng)
    image, valid = noise(rng), rng.random(SIZE) >= holes
    depth_m[~valid] = np.nan
    swings = []
    for i in range(120):
        smoothed_m = smoother.smooth(depth_m * np.float32(1.05 if i % 2 else 0.95), image)
        ratio = (smoothed_m / depth_m)[valid]
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-4)
        swings.append(float(np.median(ratio)))
    follows = still_weight(strength) ** 2
    swing = abs(swings[-1] - swings[-2])
    assert swing == pytest.approx(0.1 * follows / (2 - follows), rel=0.05)
    assert swing < 0.02


def test_a_scale_that_stays_is_followed() -> None:
    """After n frames (1 - w^2)^n of the step is left, in the logarithm: 2 % by the twelfth."""
    smoother = Smoother(0.5)
    smoother.smooth(plane(2), grey(60))
    for _ in range(11):
        smoother.smooth(plane(2.2), grey(60))
    np.testing.assert_allclose(smoother.smooth(plane(2.2), grey(60)), 2.2, rtol=0.021 * 0.1)


@given(STRENGTHS, st.lists(SEEDS, min_size=1, max_size=6), st.floats(0, 1))
def test_nan_stays_where_it_is(strength: float, seeds: list[int], share: float) -> None:
    smoother = Smoother(strength)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        depth_m = rng.normal(3, 0.05, SIZE).astype(np.float32)
        depth_m[rng.random(SIZE) < share] = np.nan
        smoothed_m = smoother.smooth(depth_m, grey(90))
        np.testing.assert_array_equal(np.isnan(smoothed_m), np.isnan(depth_m))


def test_a_hole_is_filled_with_the_new_depth() -> None:
    smoother, holed = Smoother(1), plane(2)
    holed[:10] = np.nan
    smoother.smooth(holed, grey(60))
    filled = plane(2)
    filled[:10] = 3
    np.testing.assert_allclose(smoother.smooth(filled, grey(60)), filled, rtol=1e-6)


@given(STRENGTHS, st.lists(SEEDS, min_size=1, max_size=8))
def test_no_pixel_leaves_its_bounds(strength: float, seeds: list[int]) -> None:
    """Up to 30 % of depth change a pixel may be held back, and by 25 % the whole map bent.

    So its answer lies within 0.8 / 1.3 and 1.25 / 0.7 of the network's, whatever came before.
    """
    smoother = Smoother(strength)
    rng = np.random.default_rng(seeds[0])
    depth_m, image = room(rng), noise(rng)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        parts: NDArray[np.bool_] = rng.random(SIZE) < rng.random()
        factors = rng.uniform(0.6, 1.6) * np.where(parts, rng.uniform(0.5, 2, SIZE), 1)
        depth_m = (depth_m * factors).clip(0.2, 12).astype(np.float32)
        image = np.where(parts[..., None], noise(rng), image)
        ratio = smoother.smooth(depth_m, image) / depth_m
        assert ratio.min() > 0.8 / 1.3 - 1e-3
        assert ratio.max() < 1.25 / 0.7 + 3e-3


@given(STRENGTHS, st.lists(SEEDS, min_size=1, max_size=6))
def test_where_the_scale_stands_each_pixel_lies_between_old_and_new(
    strength: float, seeds: list[int]
) -> None:
    """Two thirds of the picture are a wall that never changes, so the common scale is exactly 1."""
    smoother, old_m = Smoother(strength), plane(4)
    smoother.smooth(old_m, grey(60))
    for seed in seeds:
        rng = np.random.default_rng(seed)
        new_m, image = plane(4), grey(60)
        new_m[:16], image[:16] = room(rng)[:16], noise(rng)[:16]
        smoothed_m = smoother.smooth(new_m, image)
        assert np.all(smoothed_m >= np.minimum(old_m, new_m) - 2e-6)  # rounding at 12 m
        assert np.all(smoothed_m <= np.maximum(old_m, new_m) + 2e-6)
        old_m = smoothed_m


def test_neither_argument_nor_answer_is_the_smoothers_memory() -> None:
    """The engine writes its next map over this one, and the answer is the caller's to change."""
    smoother = Smoother(1)
    for _ in range(4):
        depth_m, image = plane(2), grey(60)
        depth_m[:24] = 3
        answer = smoother.smooth(depth_m, image)
        np.testing.assert_allclose(answer[:24], 3, rtol=1e-6)
        np.testing.assert_allclose(answer[24:], 2, rtol=1e-6)
        answer[:24] *= 1.05
        depth_m[:24] *= 1.05
        image[:24] += 2


@given(SEEDS)
def test_a_part_of_a_larger_map_is_smoothed_as_a_copy_of_it(seed: int) -> None:
    """The picture's part of a padded network input is a view with longer rows."""
    rng = np.random.default_rng(seed)
    of_views, of_copies = Smoother(0.5), Smoother(0.5)
    image, depth_m = noise(rng, (60, 80)), room(rng, (60, 80))
    part = slice(3, 51), slice(5, 69)
    for _ in range(3):
        depth_m = (depth_m * rng.normal(1, 0.02, depth_m.shape)).astype(np.float32)
        np.testing.assert_array_equal(
            of_views.smooth(depth_m[part], image[part]),
            of_copies.smooth(depth_m[part].copy(), image[part].copy()),
        )


@given(STRENGTHS, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_any_size_will_do(strength: float, size: Size) -> None:
    smoother = Smoother(strength)
    for _ in range(3):
        np.testing.assert_allclose(smoother.smooth(plane(2, size), grey(60, size)), 2, rtol=1e-6)
