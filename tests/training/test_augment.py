"""Geometry of augmentation against planes, whose depth is known everywhere in closed form."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.geometry import F32, PAD_RGB, Intrinsics, Letterbox
from training.data.augment import Policy, augment, recolour, warp_about
from training.data.loader import Loader
from training.data.sample import Sample, collate

FOCAL_PX = 259.43
NETWORK = (256, 320)
SOURCE = (233, 312)
SLANT = np.array([0.3, -0.2, 1.0])
# Views with every kind of frame, zoom and window; roll is off where a test needs axes to stay.
UPRIGHT = Policy(roll_deg=0.0)


def plane_depth(camera: Intrinsics, size: tuple[int, int], distance_m: float = 2.0) -> F32:
    """z of the plane SLANT . (X, Y, Z) = distance, seen by `camera`."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    x_ray, y_ray = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    depth: F32 = (distance_m / (SLANT[0] * x_ray + SLANT[1] * y_ray + SLANT[2])).astype(np.float32)
    return depth


def plane() -> Sample:
    rows, columns = np.mgrid[: SOURCE[0], : SOURCE[1]]
    return Sample(
        image=np.stack([rows, columns // 2, rows // 2], axis=-1).astype(np.uint8),
        depth_m=plane_depth(Intrinsics.centred(FOCAL_PX, SOURCE), SOURCE),
        valid=np.ones(SOURCE, np.bool_),
        labels=np.ones(SOURCE, np.uint8),
        focal_px=FOCAL_PX,
        scene="plane",
    )


def slope_px(sample: Sample) -> NDArray[np.float64]:
    """The gradient (down, across) of 1/z: for a plane the same over the whole picture."""
    rows, columns = np.nonzero(sample.valid)
    ones = np.ones(len(rows))
    inverse = 1 / sample.depth_m[sample.valid].astype(np.float64)
    fitted = np.linalg.lstsq(np.stack([rows, columns, ones], axis=1), inverse, rcond=None)[0]
    return np.asarray(fitted[:2], np.float64)


def view(seed: int, policy: Policy = UPRIGHT) -> Sample:
    return augment(plane(), policy, NETWORK, np.random.default_rng(seed))


def test_a_zoom_is_a_longer_lens() -> None:
    zoom, centre = 1.37, (100.3, 170.8)
    warp = warp_about(centre, zoom, 0.0, 1.0, NETWORK)
    before = Intrinsics.centred(FOCAL_PX, SOURCE)
    # The principal point moves with the picture: pixel edges scale, centres lie half a pixel in.
    after = Intrinsics(
        fx=FOCAL_PX * zoom,
        fy=FOCAL_PX * zoom,
        cx=(before.cx + 0.5 - centre[1]) * zoom + NETWORK[1] / 2 - 0.5,
        cy=(before.cy + 0.5 - centre[0]) * zoom + NETWORK[0] / 2 - 0.5,
    )
    found = warp.depth(plane_depth(before, SOURCE))
    inside = found > 0
    error = np.abs(found / plane_depth(after, NETWORK) - 1)[inside]
    assert inside.mean() > 0.8
    assert error.max() < 2e-3  # half a source pixel of nearest neighbour


@pytest.mark.parametrize("seed", range(12))
def test_slope_times_focal_length_is_the_planes_own(seed: int) -> None:
    """1/z of a plane changes by n / (f d) a pixel: times the true f, that is the plane's own."""
    seen = view(seed)
    expected = np.array([SLANT[1], SLANT[0]]) / 2.0
    found = slope_px(seen) * seen.focal_px
    assert abs(found[0]) == pytest.approx(abs(expected[0]), rel=0.02)
    assert abs(found[1]) == pytest.approx(abs(expected[1]), rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_roll_turns_the_slope_and_keeps_its_length(seed: int) -> None:
    seen = view(seed, Policy(roll_deg=20.0, framed=0.0))
    found = np.linalg.norm(slope_px(seen) * seen.focal_px)
    assert found == pytest.approx(np.linalg.norm(SLANT[:2]) / 2.0, rel=0.02)


def test_a_flip_mirrors_the_slope_across_only() -> None:
    straight, mirrored = (slope_px(view(3, Policy(roll_deg=0.0, flip=f))) for f in (0.0, 1.0))
    assert mirrored[1] == pytest.approx(-straight[1], rel=0.02)
    assert mirrored[0] == pytest.approx(straight[0], rel=0.02)


def test_a_flip_about_the_middle_is_a_reversal() -> None:
    depth_m = plane().depth_m
    warp = warp_about((SOURCE[0] / 2, SOURCE[1] / 2), 1.0, 0.0, -1.0, SOURCE)
    assert np.array_equal(warp.depth(depth_m), depth_m[:, ::-1])
    assert np.array_equal(warp.image(plane().image), plane().image[:, ::-1])


def test_a_batch_is_in_the_canonical_cameras_metres() -> None:
    seen = view(1)
    batch = collate([seen], FOCAL_PX)
    expected = seen.depth_m * np.float32(FOCAL_PX / seen.focal_px)
    assert np.array_equal(batch.depth_m[0].numpy(), expected)
    # A zoom by 2 leaves metres alone and shows all twice as large: for one lens, half as far.
    doubled = replace(seen, focal_px=2 * FOCAL_PX)
    assert np.allclose(collate([doubled], FOCAL_PX).depth_m[0], seen.depth_m / 2)


@pytest.mark.parametrize("seed", range(12))
def test_maps_agree_and_nothing_outside_the_picture_is_valid(seed: int) -> None:
    seen = view(seed, Policy())
    assert seen.image.shape == (*NETWORK, 3) and seen.image.dtype == np.uint8
    assert seen.depth_m.shape == seen.valid.shape == NETWORK
    assert np.array_equal(seen.valid, seen.depth_m > 0)
    assert seen.labels is not None and not (seen.valid & (seen.labels != 1)).any()
    padding = (seen.image == PAD_RGB).all(axis=-1)
    assert (seen.valid & padding).mean() < 0.01  # the colour may occur in a picture


def test_four_by_three_is_padded_as_in_service() -> None:
    rows = Letterbox((480, 640), NETWORK).content[0]
    views = [view(seed, Policy(framed=0.0, roll_deg=0.0)) for seed in range(30)]
    heights = {int(seen.valid.any(axis=1).sum()) for seen in views}
    assert {240, 256, 180} <= heights
    served = next(seen for seen in views if seen.valid.any(axis=1).sum() == 240)
    assert served.valid[rows].all() and not served.valid[: rows.start].any()
    assert (served.image[: rows.start] == PAD_RGB).all()


def test_a_frame_is_painted_and_not_valid() -> None:
    always = Policy(framed=1.0, roll_deg=0.0)
    shares = [view(seed, always).valid.mean() for seed in range(20)]
    never = [view(seed, Policy(framed=0.0, roll_deg=0.0)).valid.mean() for seed in range(20)]
    assert np.mean(shares) < np.mean(never)
    whole_scale = [view(seed, always).focal_px / FOCAL_PX for seed in range(40)]
    assert min(whole_scale) < 1.0 < max(whole_scale)  # scale 1 is what NYU shows, border and all


def test_recolouring_moves_no_edge() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    for seed in range(8):
        found = recolour(image, Policy(blur=0.0, jpeg=0.0), np.random.default_rng(seed))
        assert found.dtype == np.uint8
        assert (found[:, :20] == found[0, 0]).all() and (found[:, 20:] == found[0, 20]).all()


def loader(seed: int) -> Loader:
    return Loader(
        samples=[plane()] * 5,
        network_size=NETWORK,
        focal_px=FOCAL_PX,
        batch_size=2,
        policy=Policy(),
        seed=seed,
    )


def test_a_view_depends_on_seed_epoch_and_index_alone() -> None:
    first = loader(0).view(3, 4)
    list(loader(0).epoch(2))
    assert np.array_equal(first.image, loader(0).view(3, 4).image)
    for other in (loader(1).view(3, 4), loader(0).view(4, 4), loader(0).view(3, 3)):
        assert not np.array_equal(first.image, other.image)


def test_an_epoch_leaves_out_the_odd_rest_and_can_be_repeated() -> None:
    first, again = list(loader(0).epoch(1)), list(loader(0).epoch(1))
    assert len(first) == len(loader(0)) == 2
    assert all(a.frames.equal(b.frames) for a, b in zip(first, again, strict=True))
