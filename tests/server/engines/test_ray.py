"""Replicas of an engine on a Ray cluster: a batch is answered by another when one fails."""

from collections import deque
from typing import Any

import numpy as np
import pytest

from fathom.errors import Code, FathomError
from server.engines.engine import EngineFault, TooLate
from tests.server.conftest import FakeClock
from tests.server.tiny_model import GREY, GREY_M, INPUT_SIZE, new_card

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")

from server.engines.ray import Described, RayEngine

CARD = new_card("tiny", files=[], outputs=("depth_m", "labels"))
DESCRIBED = Described(precision="openvino f32", max_batch=4, batch_s=0.01, at_once=6)
FRAMES = np.full((2, *INPUT_SIZE, 3), GREY, np.uint8)
DIED = RuntimeError("the actor died")


class FakeCall:
    """A request whose fate is known: an answer, an error, or None for a replica that hangs."""

    def __init__(self, fate: Any, clock: FakeClock) -> None:
        self.fate = fate
        self.clock = clock
        self.waited_s = 0.0
        self.cancelled = False

    def result(self, *, timeout_s: float) -> Any:
        if self.fate is None:
            self.waited_s = timeout_s
            self.clock.advance(timeout_s)
            raise TimeoutError
        if isinstance(self.fate, Exception):
            raise self.fate
        return self.fate

    def cancel(self) -> None:
        self.cancelled = True


class FakeReplicas:
    """Answers the tiny network's depth; `fates` are what the next calls do instead."""

    def __init__(self, clock: FakeClock, described: Any = DESCRIBED) -> None:
        self.clock = clock
        self.described = described
        self.fates: deque[Any] = deque()
        self.calls: list[FakeCall] = []
        self.closed = False

    def describe(self) -> FakeCall:
        return FakeCall(self.described, self.clock)

    def infer(self, frames: np.ndarray[Any, Any]) -> FakeCall:
        answer = (
            np.asarray(1 + frames.mean(axis=-1) / 51, np.float32),
            np.asarray(frames.argmax(axis=-1), np.uint8),
        )
        fate = self.fates.popleft() if self.fates else answer
        self.calls.append(FakeCall(fate, self.clock))
        return self.calls[-1]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def replicas(clock: FakeClock) -> FakeReplicas:
    return FakeReplicas(clock)


@pytest.fixture
def engine(replicas: FakeReplicas, clock: FakeClock) -> RayEngine:
    return RayEngine(replicas, CARD, clock=clock)


def depth_m(engine: RayEngine, due_s: float | None = None) -> float:
    return float(engine.infer(FRAMES, 0, due_s).depth_m.max())


def test_it_is_what_the_replicas_say(replicas: FakeReplicas) -> None:
    spec = RayEngine(replicas, CARD).spec
    assert (spec.name, spec.precision, spec.max_batch) == ("ray", "openvino f32", 4)
    assert "tiny-v1" in spec.device


def test_as_many_batches_are_in_flight_as_the_most_replicas_compute(
    replicas: FakeReplicas,
) -> None:
    assert RayEngine(replicas, CARD).spec.lanes == 6
    assert RayEngine(replicas, CARD, lanes=2, max_batch=3).spec.lanes == 2


@pytest.mark.parametrize(("asked", "taken"), [(0, 4), (3, 3), (9, 4)])
def test_a_batch_is_no_larger_than_the_replicas_take(
    replicas: FakeReplicas, asked: int, taken: int
) -> None:
    assert RayEngine(replicas, CARD, max_batch=asked).spec.max_batch == taken


@pytest.mark.parametrize("silent", [None, DIED], ids=["hangs", "died"])
def test_an_engine_whose_replicas_do_not_answer_is_refused(
    clock: FakeClock, silent: Exception | None
) -> None:
    replicas = FakeReplicas(clock, silent)
    with pytest.raises(FathomError) as refused:
        RayEngine(replicas, CARD)
    assert refused.value.code is Code.BAD_SETTING and "tiny-v1" in refused.value.expected
    assert replicas.closed


@pytest.mark.parametrize("fate", [DIED, EngineFault("cuda"), None], ids=["died", "fault", "hangs"])
def test_a_batch_that_one_replica_fails_another_answers(
    engine: RayEngine, replicas: FakeReplicas, fate: Exception | None
) -> None:
    replicas.fates.append(fate)
    assert depth_m(engine) == pytest.approx(GREY_M)
    assert len(replicas.calls) == 2


def test_a_call_that_is_given_up_is_told_so(engine: RayEngine, replicas: FakeReplicas) -> None:
    replicas.fates.append(None)
    depth_m(engine)
    assert [call.cancelled for call in replicas.calls] == [True, False]


def test_when_every_try_fails_the_batch_does(engine: RayEngine, replicas: FakeReplicas) -> None:
    replicas.fates.extend([DIED] * 4)
    with pytest.raises(EngineFault, match="the actor died"):
        depth_m(engine)
    assert len(replicas.calls) == 4


@pytest.mark.parametrize(
    ("left_s", "tries_s"),
    [
        (1.8, [0.45, 0.45, 0.45, 0.45]),
        (0.6, [0.25, 0.25, 0.1]),  # a fair time each, while there is any
        (0.1, [0.1]),  # a short one is not divided: a busy cluster would compute all of it twice
        (30.0, [1.06] * 4),  # a second, and what six batches of 0.01 s wait for each other
    ],
)
def test_the_time_that_is_left_is_shared_among_the_tries(
    engine: RayEngine, replicas: FakeReplicas, clock: FakeClock, left_s: float, tries_s: list[float]
) -> None:
    replicas.fates.extend([None] * 4)
    due_s = clock() + left_s
    with pytest.raises((TooLate, EngineFault)):
        depth_m(engine, due_s)
    assert [call.waited_s for call in replicas.calls] == pytest.approx(tries_s)
    assert clock() <= due_s + 1e-9


def test_a_batch_that_nobody_answers_by_its_deadline_is_given_up(
    engine: RayEngine, replicas: FakeReplicas, clock: FakeClock
) -> None:
    replicas.fates.append(None)
    with pytest.raises(TooLate, match="within"):
        depth_m(engine, clock() + 0.1)


def test_a_batch_that_is_late_already_is_not_sent(
    engine: RayEngine, replicas: FakeReplicas, clock: FakeClock
) -> None:
    with pytest.raises(TooLate):
        depth_m(engine, clock())
    assert replicas.calls == []


@pytest.mark.parametrize(
    "maps",
    [
        (np.zeros((2, 8, 8), np.float32), np.zeros((2, 8, 8), np.uint8)),
        (np.zeros((2, *INPUT_SIZE), np.float32), None),
    ],
    ids=["another size", "no labels"],
)
def test_an_answer_that_the_card_does_not_promise_is_none(
    engine: RayEngine, replicas: FakeReplicas, maps: Any
) -> None:
    replicas.fates.append(maps)
    assert depth_m(engine) == pytest.approx(GREY_M)
    assert len(replicas.calls) == 2


def test_closing_it_lets_go_of_the_replicas(engine: RayEngine, replicas: FakeReplicas) -> None:
    engine.close()
    assert replicas.closed
