"""Costs from answers, by hand. No server runs."""

import pytest

from benchmarks.fleet.measure import Timed, costs_of
from fathom.values import StageTimes
from server.core.batcher import CostCurve
from server.engines.engine import EngineSpec

CURVE = CostCurve({1: 0.020, 2: 0.030})


def spec(*, overlap: bool, lanes: int = 1) -> EngineSpec:
    return EngineSpec(
        name="null",
        device="none",
        precision="f32",
        input_size=(256, 320),
        max_batch=2,
        outputs=("depth_m",),
        lanes=lanes,
        overlap=overlap,
    )


def timed(
    *, infer_s: float, batch: int = 1, age_s: float = 0.1, wait_s: float = 0.05, came_s: float = 0
) -> Timed:
    """2 ms of decoding, 1 ms of finishing and 2 ms of encoding."""
    stages = StageTimes(
        wait_s=wait_s, decode_s=0.002, infer_s=infer_s, finish_s=0.001, encode_s=0.002
    )
    return Timed(came_s=came_s, age_s=age_s, stages=stages, batch=batch)


def test_the_way_there_and_back_is_what_no_stage_took() -> None:
    """30 - 0 - 2 - 20 - 3."""
    assert timed(infer_s=0.020, age_s=0.030, wait_s=0).carry_s == pytest.approx(0.005)


def test_costs_of_a_lane_that_overlaps() -> None:
    """25 answers a second of 22 ms on the device: 18 ms between two of them."""
    alone = [timed(infer_s=0.020, age_s=0.030, wait_s=0)] * 5
    crowd = [timed(infer_s=0.022, came_s=0.040 * k) for k in range(50)]
    costs = costs_of(spec(overlap=True), CostCurve({1: 0.020}), alone, crowd)
    assert costs.capacity_fps == pytest.approx(25)
    assert costs.infer.mean == pytest.approx(1.1)
    assert (costs.decode.mean, costs.finish.mean) == pytest.approx((0.002, 0.003))
    assert costs.carry.mean == pytest.approx(0.005)
    assert costs.pause_s == pytest.approx(0.018)


def test_costs_of_lanes_that_do_one_thing_after_the_other() -> None:
    """Two lanes, an answer each 25 ms: 50 ms a frame, of which 25 are work."""
    crowd = [timed(infer_s=0.020, came_s=0.025 * k) for k in range(80)]
    costs = costs_of(spec(overlap=False, lanes=2), CURVE, crowd[:1], crowd)
    assert costs.pause_s == pytest.approx(0.025)
    # A batch of two would take 30 + 2 x 5 + 25 ms in each of the lanes.
    assert costs.capacity_fps == pytest.approx(2 * 2 / 0.065)


def test_a_batch_counts_once_however_many_frames_it_has() -> None:
    """30 batches of two frames, one each 40 ms, of which the device has 30.

    The two answers of a batch come together, so from the first to the last are 29 batches.
    """
    crowd = [timed(infer_s=0.030, batch=2, came_s=0.040 * (k // 2)) for k in range(60)]
    costs = costs_of(spec(overlap=True), CURVE, crowd[:1], crowd)
    assert costs.infer.mean == pytest.approx(1)
    assert costs.pause_s == pytest.approx(0.010)
    assert costs.capacity_fps == pytest.approx(50)


def test_no_way_takes_less_than_no_time() -> None:
    """Stages overlap in an age that is shorter than their sum."""
    early = [timed(infer_s=0.020, age_s=0.010)]
    assert costs_of(spec(overlap=True), CURVE, early, early).carry.mean == 0
