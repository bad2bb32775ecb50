"""Metrics by hand, the box of the protocol, and one perfect predictor through the whole way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Letterbox
from training.data.nyu import NyuFolder
from training.data.sample import Sample
from training.evaluation import (
    PROTOCOLS,
    as_table,
    evaluate,
    mean_metrics,
    measure,
    predict_map,
    score,
)

EIGEN = PROTOCOLS["nyu-eigen"]
NETWORK = (256, 320)


def flat(depth_m: float) -> Sample:
    return Sample(
        image=np.zeros((240, 320, 3), np.uint8),
        depth_m=np.full((240, 320), depth_m, np.float32),
        valid=np.ones((240, 320), np.bool_),
        focal_px=259.43,
        scene="flat",
    )


def test_metrics_of_three_for_two() -> None:
    found = measure(np.full(5, 3, np.float32), np.full(5, 2, np.float32))
    assert found.abs_rel == pytest.approx(0.5)
    assert found.sq_rel == pytest.approx(0.5)
    assert found.rmse == pytest.approx(1.0)
    assert found.rmse_log == pytest.approx(0.405465, abs=1e-6)
    assert found.log10 == pytest.approx(0.176091, abs=1e-6)
    assert (found.delta1, found.delta2, found.delta3) == (0, 1, 1)  # 1.25 < 1.5 < 1.5625
    assert found.silog == pytest.approx(0, abs=1e-3)


def test_metrics_of_one_for_ten() -> None:
    assert measure(np.ones(4, np.float32), np.full(4, 10, np.float32)).log10 == pytest.approx(1)


def test_silog_of_errors_that_differ() -> None:
    # log errors 1 and 0: variance 1/4, times 100 under the root of it
    found = measure(np.array([np.e, 1], np.float32), np.ones(2, np.float32))
    assert found.silog == pytest.approx(50, rel=1e-5)


def test_the_box_is_every_second_pixel_of_eigens() -> None:
    full = np.zeros((480, 640), np.bool_)
    full[45:471, 41:601] = True
    assert full.sum() == 238_560
    strided = EIGEN.mask(np.ones((240, 320), np.float32))
    assert np.array_equal(strided, full[::2, ::2])


def test_truth_counts_strictly_inside_the_range() -> None:
    truth = np.full((240, 320), 2, np.float32)
    truth[100, 100:104] = (0, 1e-3, 10, 9.999)
    assert EIGEN.mask(truth)[100, 99:105].tolist() == [True, False, False, False, True, True]


def test_predictions_are_clamped_and_never_aligned() -> None:
    found = score(np.full((240, 320), 50, np.float32), flat(5), EIGEN, "0001")
    assert found.abs_rel == pytest.approx(1.0)  # 50 becomes 10, and 10 is twice 5


def test_pixels_that_do_not_count_change_nothing() -> None:
    rng = np.random.default_rng(0)
    predicted, sample = rng.uniform(1, 4, (240, 320)).astype(np.float32), flat(2)
    valid = rng.random((240, 320)) < 0.8
    expected = score(predicted, replace(sample, valid=valid), EIGEN, "0001")
    spoiled = np.where(valid & EIGEN.mask(sample.depth_m), predicted, np.nan).astype(np.float32)
    assert score(spoiled, replace(sample, valid=valid), EIGEN, "0001") == expected


def test_an_answer_that_is_not_finite_is_refused() -> None:
    predicted = np.full((240, 320), 2, np.float32)
    predicted[120, 160] = np.nan
    with pytest.raises(FathomError, match="1 pixels that are not") as caught:
        score(predicted, flat(2), EIGEN, "0001")
    assert caught.value.code is Code.BAD_MODEL


def test_a_picture_without_truth_is_refused() -> None:
    with pytest.raises(FathomError, match="picture 0007"):
        score(np.ones((240, 320), np.float32), flat(0), EIGEN, "0007")


def test_every_picture_counts_the_same() -> None:
    near = measure(np.full(1000, 2, np.float32), np.full(1000, 2, np.float32))
    far = measure(np.full(10, 4, np.float32), np.full(10, 2, np.float32))
    assert mean_metrics([near, far]).abs_rel == pytest.approx(0.5)


@pytest.mark.parametrize("size", [(480, 640), (240, 320)])
def test_a_prediction_lands_on_the_pixel_it_was_made_for(size: tuple[int, int]) -> None:
    """A predictor that names the network's column gives maps whose columns count by one."""

    def columns(frames: RGB) -> F32:
        return np.broadcast_to(np.arange(320, dtype=np.float32), frames.shape[:3]).copy()

    found = predict_map(columns, np.zeros((*size, 3), np.uint8), NETWORK)
    # At 640 wide, column 2i of the picture is at i - 1/4 of the network's, and is clamped at 0.
    offset = 0.25 if size[1] == 640 else 0.0
    expected = np.maximum(np.arange(320) - offset, 0)
    assert found.shape == (240, 320)
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize(("part", "pictures"), [("val", 2), ("test", 1)])
def test_a_predictor_that_knows_the_truth_is_perfect(
    tiny_nyu: Path, part: str, pictures: int
) -> None:
    folder = NyuFolder(tiny_nyu)
    truth = folder.read("0007").depth_m
    padded = np.ones(NETWORK, np.float32)
    padded[Letterbox((240, 320), NETWORK).content] = truth
    report = evaluate(lambda frames: padded[None][: len(frames)], folder, part, NETWORK)
    assert report.pictures == pictures and set(report.per_picture) == set(folder.ids(part))
    assert report.mean.delta1 == 1
    assert report.mean.abs_rel < 2e-3  # a quarter pixel of 10 mm slope, at 480x640
    assert "nyu-eigen on" in as_table(report)
