"""One replica on a Ray cluster: its lanes, what it says of itself, when it is to be replaced."""

import asyncio
import threading

import numpy as np
import pytest

from server.engines.engine import EngineFault
from tests.server.conftest import CARD, INPUT_SIZE, FakeClock, ScriptedEngine, ramp

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")

from server.replica import Replica

FRAMES = np.zeros((1, *INPUT_SIZE, 3), np.uint8)
TIMEOUT_S = 10.0


def new_replica(engine: ScriptedEngine, clock: FakeClock, at_most: int = 1) -> Replica:
    replica = Replica(lambda: (CARD, engine), timeout_s=TIMEOUT_S, at_most=at_most, clock=clock)
    engine.calls.clear()  # those of the warm-up
    while engine.entered.acquire(blocking=False):
        pass
    return replica


def test_it_says_what_all_replicas_compute_at_once(clock: FakeClock) -> None:
    described = asyncio.run(
        new_replica(ScriptedEngine(max_batch=4, lanes=2), clock, at_most=3).describe()
    )
    assert (described.precision, described.max_batch) == ("scripted f32", 4)
    assert described.at_once == 6


def test_depth_and_labels_are_a_copy_that_outlives_the_next_batch(clock: FakeClock) -> None:
    engine = ScriptedEngine()
    replica = new_replica(engine, clock)
    depth_m, labels = asyncio.run(replica.infer(FRAMES))
    engine.fates.append(engine.infer(FRAMES, 0))  # makes NaN of the engine's own memory
    asyncio.run(replica.infer(FRAMES))
    assert np.array_equal(depth_m[0], ramp())
    assert labels is not None and labels.dtype == np.uint8


def test_every_lane_is_one_thread_and_no_batch_has_another_ones(clock: FakeClock) -> None:
    engine = ScriptedEngine(lanes=2)
    replica = new_replica(engine, clock)
    engine.hold()

    async def ask() -> None:
        batches = [asyncio.create_task(replica.infer(FRAMES)) for _ in range(4)]
        for _ in range(2):
            await asyncio.to_thread(engine.wait_entered)
        assert sorted(lane for _, lane in engine.calls) == [0, 1]
        engine.release()
        await asyncio.gather(*batches)

    asyncio.run(ask())
    assert len(engine.calls) == 4


def test_a_batch_that_is_given_up_while_it_waits_is_not_computed(clock: FakeClock) -> None:
    engine = ScriptedEngine()
    replica = new_replica(engine, clock)
    engine.hold()

    async def ask() -> None:
        first = asyncio.create_task(replica.infer(FRAMES))
        await asyncio.to_thread(engine.wait_entered)
        second = asyncio.create_task(replica.infer(FRAMES))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        engine.release()
        await first

    asyncio.run(ask())
    assert len(engine.calls) == 1


def test_three_faults_in_a_row_are_ill_and_fewer_are_not(clock: FakeClock) -> None:
    engine = ScriptedEngine()
    replica = new_replica(engine, clock)
    fault = EngineFault("as it was told")
    for fates, ill in (([fault] * 2, False), ([None, fault, fault], False), ([fault], True)):
        engine.fates.extend(fates)
        for fate in fates:
            if fate is None:
                asyncio.run(replica.infer(FRAMES))
            else:
                with pytest.raises(EngineFault):
                    asyncio.run(replica.infer(FRAMES))
        if ill:
            with pytest.raises(EngineFault, match="3 faults"):
                replica.check_health()
        else:
            replica.check_health()


def test_a_lane_that_hangs_is_ill(clock: FakeClock) -> None:
    engine = ScriptedEngine()
    replica = new_replica(engine, clock)
    engine.hold()
    asking = threading.Thread(target=lambda: asyncio.run(replica.infer(FRAMES)))
    asking.start()
    engine.wait_entered()
    clock.advance(TIMEOUT_S)
    replica.check_health()
    clock.advance(0.1)
    with pytest.raises(EngineFault, match="hangs"):
        replica.check_health()
    engine.release()
    asking.join()
    replica.check_health()
