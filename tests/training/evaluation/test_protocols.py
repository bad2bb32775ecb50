"""The boxes of each protocol, counted by hand on full and on strided pictures (T17)."""

from dataclasses import replace

import numpy as np
import pytest

from fathom.errors import FathomError
from fathom.geometry import Size
from training.data.sample import Sample
from training.evaluation.protocols import PROTOCOLS, cut

FULL, HALF, KITTI = (480, 640), (240, 320), (375, 1242)


def sample(picture: Size, truth: Size, depth_m: float = 2) -> Sample:
    """Red counts the picture's rows, green its columns, both modulo 256."""
    rows, cols = np.mgrid[: picture[0], : picture[1]]
    return Sample(
        image=np.stack([rows, cols, rows], axis=-1).astype(np.uint8),
        depth_m=np.full(truth, depth_m, np.float32),
        valid=np.ones(truth, np.bool_),
        labels=np.arange(truth[0] * truth[1]).reshape(truth).astype(np.uint8),
        focal_px=518.86 * picture[1] / 640,
        scene="flat",
    )


def counted(name: str, sample: Sample) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return PROTOCOLS[name].counted(PROTOCOLS[name].prepare(sample))


def extent(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[int, int, int, int]:
    """First row, end row, first column, end column of a box without holes."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask.sum() == rows.size * cols.size
    return int(rows[0]), int(rows[-1] + 1), int(cols[0]), int(cols[-1] + 1)


def test_eigens_box() -> None:
    full = counted("nyu-eigen", sample(FULL, FULL))
    assert extent(full) == (45, 471, 41, 601)
    assert full.sum() == 426 * 560 == 238_560
    strided = counted("nyu-eigen", sample(FULL, HALF))
    assert np.array_equal(strided, full[::2, ::2])


def test_truth_counts_strictly_inside_the_range() -> None:
    given = sample(HALF, HALF)
    given.depth_m[100, 100:104] = (0, 1e-3, 10, 9.999)
    seen = counted("nyu-eigen", given)
    assert seen[100, 99:105].tolist() == [True, False, False, False, True, True]


def test_reference_002_cuts_before_the_network() -> None:
    shown = PROTOCOLS["nyu-reference-002"].prepare(sample(FULL, HALF))
    assert shown.image.shape == (448, 576, 3)
    assert shown.image[0, 0].tolist() == [24, 40, 24]
    assert shown.depth_m.shape == (224, 288)
    # Of the truth, the same pixels count as without the cut.
    assert shown.labels is not None
    whole = sample(FULL, HALF)
    assert whole.labels is not None
    kept = counted("nyu-reference-002", whole)
    assert np.array_equal(shown.labels[kept], whole.labels[counted("nyu-eigen", whole)])
    assert extent(counted("nyu-reference-002", sample(FULL, FULL))) == (21, 447, 1, 561)


@pytest.mark.parametrize("truth", [FULL, HALF])
def test_blw_shrinks_and_takes_the_centre(truth: Size) -> None:
    shown = PROTOCOLS["blw-nyu"].prepare(sample(FULL, truth))
    assert shown.image.shape == (228, 304, 3) and shown.depth_m.shape == (228, 304)
    assert counted("blw-nyu", sample(FULL, truth)).all()
    assert shown.focal_px == pytest.approx(518.86 / 2)
    # Row 6 and column 8 of the half picture are rows 12, 13 and columns 16, 17 of the whole.
    assert shown.image[0, 0].tolist() == pytest.approx([12.5, 16.5, 12.5], abs=0.6)
    far = counted("blw-nyu", sample(FULL, truth, depth_m=99))
    assert far.all() and not counted("blw-nyu", sample(FULL, truth, depth_m=0)).any()


def test_gargs_box_is_of_the_full_picture() -> None:
    assert extent(counted("kitti-garg", sample(KITTI, KITTI))) == (153, 371, 44, 1197)


def test_reference_002_takes_gargs_box_of_the_cut_picture() -> None:
    shown = PROTOCOLS["kitti-reference-002"].prepare(sample(KITTI, KITTI))
    assert shown.image.shape == (352, 1216, 3)
    assert shown.image[0, 0].tolist() == [23, 13, 23]
    assert extent(PROTOCOLS["kitti-reference-002"].counted(shown)) == (143, 349, 43, 1172)


@pytest.mark.parametrize(("name", "far_m"), [("ibims", 10), ("generic", 100), ("kitti-garg", 80)])
def test_ranges(name: str, far_m: float) -> None:
    given = sample((20, 30), (20, 30), depth_m=1)
    given.depth_m[10, 15:18] = (far_m, far_m * 0.999, 0)
    assert counted(name, given)[10, 14:18].tolist() == [True, False, True, False]


def test_what_is_not_valid_never_counts() -> None:
    for name in PROTOCOLS:
        picture = KITTI if "kitti" in name else FULL
        given = sample(picture, picture)
        assert not counted(name, replace(given, valid=np.zeros_like(given.valid))).any()


def test_a_cut_takes_picture_and_maps_alike() -> None:
    part = cut(sample(FULL, HALF), (slice(8, 474), slice(8, 632)))
    assert part.image.shape[:2] == (466, 624) and part.depth_m.shape == (233, 312)
    assert part.image[0, 0].tolist() == [8, 8, 8]


def test_a_picture_of_another_camera_is_refused() -> None:
    with pytest.raises(FathomError, match=r"640x480.* got 1242x375"):
        PROTOCOLS["nyu-eigen"].prepare(sample(KITTI, KITTI))
