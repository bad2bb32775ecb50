"""A fleet of Triton servers: every batch is answered while one of them can, and in time."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from fathom.card import Card
from fathom.errors import Code, FathomError
from server.engines.engine import EngineFault, TooLate
from server.engines.triton import TritonEngine
from tests.server.conftest import PATIENCE_S
from tests.server.engines.fake_triton import FakeTriton, answers, hangs, refuses
from tests.server.tiny_model import GREY, GREY_M, INPUT_SIZE, write_card

UNAVAILABLE = refuses(grpc.StatusCode.UNAVAILABLE)
BUSY = refuses(grpc.StatusCode.RESOURCE_EXHAUSTED)


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return write_card(tmp_path, "tiny", files=[], outputs=("depth_m", "labels"))


@pytest.fixture
def opened(card: Card) -> Iterator[Callable[..., TritonEngine]]:
    """Opens the engine over fakes that are started here."""
    with ExitStack() as stack:

        def open_(*servers: FakeTriton, lanes: int = 0) -> TritonEngine:
            for server in servers:
                if not server.address:
                    stack.enter_context(server.serving())
            engine = TritonEngine([server.address for server in servers], card, lanes=lanes)
            stack.callback(engine.close)
            return engine

        yield open_


def depth_m(engine: TritonEngine, *, due_s: float | None = None, lane: int = 0) -> float:
    """One grey frame's depth, which is the same everywhere."""
    frames = np.full((1, *INPUT_SIZE, 3), GREY, np.uint8)
    answered = engine.infer(frames, lane, due_s).depth_m
    assert answered.min() == answered.max()
    return float(answered.min())


def until(done: Callable[[], bool]) -> None:
    """Wait for what the health check finds out."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)


@pytest.mark.parametrize("maps_memory", [True, False], ids=["shared memory", "over the wire"])
def test_frames_go_there_and_depth_comes_back(
    opened: Callable[..., TritonEngine], maps_memory: bool
) -> None:
    server = FakeTriton(maps_memory=maps_memory)
    assert depth_m(opened(server)) == pytest.approx(GREY_M)
    assert bool(server.regions) == maps_memory


def test_nothing_is_left_of_shared_memory(opened: Callable[..., TritonEngine]) -> None:
    server = FakeTriton()
    engine = opened(server)
    depth_m(engine)
    assert list(Path("/dev/shm").glob("fathom-*")) == []  # noqa: S108
    engine.close()
    assert server.regions == {}


def test_memory_that_a_server_still_holds_is_forgotten_a_moment_later(
    opened: Callable[..., TritonEngine],
) -> None:
    server = FakeTriton(clings=3)
    engine = opened(server)
    depth_m(engine)
    engine.close()
    assert (server.clings, server.regions) == (0, {})


def test_as_many_batches_are_in_flight_as_the_servers_compute_at_once(
    opened: Callable[..., TritonEngine],
) -> None:
    servers = FakeTriton(instances=1), FakeTriton(instances=2)
    engine = opened(*servers, lanes=8)
    assert opened(*servers).spec.lanes == 3

    def work(lane: int) -> None:
        for _ in range(20):
            depth_m(engine, lane=lane)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert all(1 <= server.most_at_once <= server.instances for server in servers)
    assert sum(server.asked for server in servers) == 8 * 20


@pytest.mark.parametrize(
    "fate",
    [UNAVAILABLE, BUSY, hangs, answers((1, 2, 2)), answers((1, *INPUT_SIZE), "INT8")],
    ids=["unavailable", "busy", "hangs", "another size", "another type"],
)
def test_a_batch_that_one_server_fails_another_answers(
    opened: Callable[..., TritonEngine], fate: Callable[..., object]
) -> None:
    first, second = FakeTriton(), FakeTriton()
    engine = opened(first, second)
    first.fates.append(fate)
    assert depth_m(engine, due_s=time.monotonic() + 1) == pytest.approx(GREY_M)
    assert (first.asked, second.asked) == (1, 1)


def test_a_hanging_server_leaves_half_of_the_time_to_the_next(
    opened: Callable[..., TritonEngine],
) -> None:
    first, second = FakeTriton(), FakeTriton()
    engine = opened(first, second)
    first.fates.append(hangs)
    due_s = time.monotonic() + 1
    depth_m(engine, due_s=due_s)
    assert time.monotonic() < due_s


def test_a_batch_that_nobody_answers_by_its_deadline_is_given_up(
    opened: Callable[..., TritonEngine],
) -> None:
    server = FakeTriton()
    engine = opened(server)
    server.fates.append(hangs)
    due_s = time.monotonic() + 0.05
    with pytest.raises(TooLate):
        depth_m(engine, due_s=due_s)
    assert due_s <= time.monotonic()
    assert depth_m(engine) == pytest.approx(GREY_M)


def test_a_batch_that_is_late_already_is_not_sent(opened: Callable[..., TritonEngine]) -> None:
    server = FakeTriton()
    engine = opened(server)
    with pytest.raises(TooLate):
        depth_m(engine, due_s=time.monotonic() - 1)
    assert server.asked == 0


def test_when_all_servers_fail_the_batch_does(opened: Callable[..., TritonEngine]) -> None:
    servers = FakeTriton(), FakeTriton()
    engine = opened(*servers)
    for server in servers:
        server.fates.extend([UNAVAILABLE] * 20)
    with pytest.raises(EngineFault, match="as it was told"):
        depth_m(engine)
    assert all(1 <= server.asked < 5 for server in servers)  # and nobody was hammered


def test_a_moment_in_which_all_servers_fail_is_waited_for(
    opened: Callable[..., TritonEngine],
) -> None:
    """One is gone, and the other rejects what its own queue held too long."""
    gone, busy = FakeTriton(), FakeTriton()
    engine = opened(gone, busy)
    gone.stop()
    busy.fates.append(UNAVAILABLE)
    assert depth_m(engine) == pytest.approx(GREY_M)
    assert busy.asked == 2


def test_what_every_server_would_refuse_is_asked_once(
    opened: Callable[..., TritonEngine],
) -> None:
    servers = FakeTriton(), FakeTriton()
    engine = opened(*servers)
    servers[0].fates.append(refuses(grpc.StatusCode.INVALID_ARGUMENT))
    with pytest.raises(EngineFault):
        depth_m(engine)
    assert [server.asked for server in servers] == [1, 0]


def test_an_answer_that_comes_too_late_meets_no_later_one(
    opened: Callable[..., TritonEngine],
) -> None:
    """The server that was given up writes into memory that nobody reads any more."""
    server = FakeTriton()
    engine = opened(server)
    depth_m(engine)
    before = set(server.regions)
    server.fates.append(hangs)
    with pytest.raises(TooLate):
        depth_m(engine, due_s=time.monotonic() + 0.05)
    depth_m(engine)
    assert before < set(server.regions)


def test_a_server_that_is_gone_is_left_alone_and_found_again(
    opened: Callable[..., TritonEngine],
) -> None:
    first, second = FakeTriton(), FakeTriton()
    engine = opened(first, second)
    depth_m(engine)
    first.stop()
    for _ in range(5):
        assert depth_m(engine) == pytest.approx(GREY_M)
    until(lambda: engine.resting == [first.address])
    asked = first.asked
    first.start()
    until(lambda: depth_m(engine) > 0 and engine.resting == [])
    assert first.asked > asked


def test_a_server_that_says_it_is_not_ready_is_not_asked(
    opened: Callable[..., TritonEngine],
) -> None:
    first, second = FakeTriton(), FakeTriton()
    engine = opened(first, second)
    first.ready = False
    until(lambda: engine.resting == [first.address])
    for _ in range(3):
        depth_m(engine)
    assert (first.asked, second.asked) == (0, 3)
    first.ready = True
    until(lambda: engine.resting == [])
    depth_m(engine)
    assert first.asked == 1


def test_a_server_that_is_down_at_first_joins_when_it_is_up(
    opened: Callable[..., TritonEngine],
) -> None:
    up, down = FakeTriton(), FakeTriton()
    with down.serving():
        pass  # it has an address now, and nobody listens there
    engine = opened(up, down)
    assert engine.resting == [down.address]
    with down.serving():
        until(lambda: engine.resting == [])
        depth_m(engine, lane=0)
    assert engine.spec.lanes == 2


def test_without_any_server_the_engine_is_refused(opened: Callable[..., TritonEngine]) -> None:
    down = FakeTriton()
    with down.serving():
        pass
    with pytest.raises(FathomError) as refused:
        opened(down)
    assert refused.value.code is Code.BAD_SETTING and down.address in refused.value.got


def test_a_server_with_another_model_is_refused(
    opened: Callable[..., TritonEngine], card: Card
) -> None:
    server = FakeTriton()
    server.shape = [-1, 8, 8, 3]
    with pytest.raises(FathomError) as refused:
        opened(server)
    assert refused.value.code is Code.BAD_MODEL and "8" in refused.value.got
    server.shape = [-1, *INPUT_SIZE, 3]
    with pytest.raises(FathomError) as refused:
        TritonEngine([server.address], replace(card, version=2))
    assert "unknown model" in refused.value.got


def test_a_server_that_came_back_has_forgotten_its_memory(
    opened: Callable[..., TritonEngine],
) -> None:
    server = FakeTriton(instances=2)
    engine = opened(server)
    for lane in (0, 1):
        depth_m(engine, lane=lane)
    server.stop()
    until(lambda: engine.resting == [server.address])
    server.start()
    until(lambda: engine.resting == [])
    for lane in (0, 1):
        assert depth_m(engine, lane=lane) == pytest.approx(GREY_M)
