"""The engine without a network keeps the contract: known depth, the batch's size, a set cost."""

import numpy as np
import pytest

from server.engines.engine import EngineFault
from server.engines.null import CARD, FAR_M, INPUT_SIZE, NEAR_M, NullEngine, ramp


def frames(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.zeros((count, *INPUT_SIZE, 3), np.uint8)


def test_depth_falls_from_far_at_the_top_to_near_at_the_bottom() -> None:
    depth_m = NullEngine().infer(frames(1), 0).depth_m
    assert depth_m.shape == (1, *INPUT_SIZE) and depth_m.dtype == np.float32
    assert depth_m[0, 0, 0] == FAR_M and depth_m[0, -1, -1] == NEAR_M
    assert (np.diff(depth_m[0], axis=0) < 0).all() and not np.diff(depth_m[0], axis=1).any()


def test_a_batch_is_answered_frame_by_frame() -> None:
    engine = NullEngine(max_batch=4, lanes=2)
    for count in (1, 3, 4):
        outputs = engine.infer(frames(count), 1)
        assert outputs.labels is None
        assert np.array_equal(outputs.depth_m, np.stack([ramp(INPUT_SIZE)] * count))
    assert (engine.spec.max_batch, engine.spec.lanes) == (4, 2)


def test_the_cost_is_per_batch_and_per_frame() -> None:
    slept: list[float] = []
    engine = NullEngine(cost_s=2.0, frame_cost_s=0.5, max_batch=4, sleep=slept.append)
    engine.infer(frames(1), 0)
    engine.infer(frames(4), 0)
    assert slept == [2.5, 4.0]


def test_an_engine_that_costs_nothing_does_not_sleep() -> None:
    slept: list[float] = []
    NullEngine(sleep=slept.append).infer(frames(1), 0)
    assert slept == []


def test_it_fails_each_so_manieth_batch_if_told_to_and_serves_on() -> None:
    engine = NullEngine(fault_every=3)
    for _ in range(2):
        engine.infer(frames(1), 0)
        engine.infer(frames(1), 0)
        with pytest.raises(EngineFault, match="null_fault_every"):
            engine.infer(frames(1), 0)


def test_its_card_says_what_it_is() -> None:
    spec = NullEngine().spec
    assert CARD.input_size == spec.input_size and CARD.outputs == spec.outputs
    assert CARD.range_m == (NEAR_M, FAR_M)
