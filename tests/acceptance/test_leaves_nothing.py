"""However a question ends, the server holds nothing of it afterwards.

The matrix: every door by every end. Doors are on real sockets, in one event loop with their
clients, over an engine that a test holds and breaks. After each case the registry of streams is
empty, and tasks, threads and file descriptors are as before it; once the doors are closed, as
before there was a server. SIGTERM has a whole process for each door.
"""

import asyncio
import gc
import json
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import uvloop
from websockets.asyncio.client import connect

from fathom import metrics
from fathom.errors import Code, FathomError
from fathom.session import aio
from fathom.session.core import outcome
from fathom.values import Image, ImageEncoding, OpenStream, Policy
from server.doors.grpc import GrpcDoor
from server.doors.http import build_app
from server.doors.listen import HttpDoor
from server.engines.engine import EngineFault
from tests.acceptance.conftest import STOP_S, StartServer
from tests.server.conftest import PATIENCE_S, PICTURE, WatchedTelemetry, total
from tests.server.doors.conftest import House

NO_PICTURE = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")
# Short, for nothing is computed meanwhile: the engine is held.
DEADLINE_S = 0.02
# What the deadline of a stream's frame makes of it, and that of one picture.
LATE = {"skipped_deadline", Code.DEADLINE_PASSED.value}


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks of a door.

    frames  how often, where the door has streams
    stays   the client of a stream waits for more than the answers, until the server ends it
    """

    picture: Image = PICTURE
    deadline_s: float | None = None
    frames: int = 1
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """Where the doors are; `hasty_url` is HTTP's where a picture may take no longer than that."""

    grpc: str
    http_url: str
    hasty_url: str = ""


async def ask_unary(at: Address, question: Question) -> list[str]:
    timeout_s = PATIENCE_S if question.deadline_s is None else question.deadline_s
    async with aio.Client(at.grpc) as client:
        try:
            await client.predict(question.picture, timeout_s=timeout_s)
        except FathomError as error:
            return [error.code.value]
    return ["answered"]


async def ask_stream(at: Address, question: Question) -> list[str]:
    async with (
        aio.Client(at.grpc) as client,
        await client.stream(OpenStream(policy=Policy.ALL)) as stream,
    ):
        for _ in range(question.frames):
            await stream.send(question.picture, deadline_s=question.deadline_s)
        if not question.stays:
            await stream.finish()
        outcomes = [outcome(received.answer) async for received in stream.answers()]
        assert stream.closing is not None
        assert sum(stream.closing.counts.values()) == question.frames
        return [name.removeprefix("failed_") for name in outcomes]


async def ask_http(at: Address, question: Question) -> list[str]:
    url = at.http_url if question.deadline_s is None else at.hasty_url
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        response = await client.post(f"{url}/predict", content=question.picture.data)
    return ["answered" if response.is_success else response.json()["code"]]


async def ask_websocket(at: Address, question: Question) -> list[str]:
    url = at.http_url.replace("http://", "ws://")
    async with connect(f"{url}/stream", proxy=None) as socket:
        await socket.send(json.dumps({"open": {"policy": "POLICY_ALL"}}))
        for seq in range(1, question.frames + 1):
            deadline_us = int((question.deadline_s or 0) * 1e6)
            header = json.dumps({"seq": seq, "deadline_us": deadline_us}).encode()
            await socket.send(len(header).to_bytes(4, "little") + header + question.picture.data)
        if not question.stays:
            await socket.send(json.dumps({"finish": {}}))
        outcomes, closing = [], None
        async for message in socket:
            if isinstance(message, bytes):
                end = 4 + int.from_bytes(message[:4], "little")
                outcomes.append(_websocket_outcome(json.loads(message[4:end])["answer"]))
            else:
                closing = json.loads(message).get("closing")
        assert closing is not None
        assert sum(map(int, closing["counts"].values())) == question.frames
        return outcomes


def _websocket_outcome(answer: dict[str, dict[str, str]]) -> str:
    if "failed" in answer:
        return answer["failed"]["code"]
    if "skipped" in answer:
        return answer["skipped"]["reason"].replace("SKIP_REASON_", "skipped_").lower()
    return "answered"


Ask = Callable[[Address, Question], Awaitable[list[str]]]
DOORS = {
    "gRPC unary": ask_unary,
    "gRPC stream": ask_stream,
    "HTTP": ask_http,
    "WebSocket": ask_websocket,
}


async def until(true: Callable[[], bool]) -> bool:
    """Whether it came true, looked at again and again within a bounded time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 - what it looks at is not of the loop
                await asyncio.sleep(0.005)
            return True
    return False


@dataclass(frozen=True, slots=True)
class Holdings:
    """What this process holds that a request could have left behind."""

    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> "Holdings":
        gc.collect()
        return cls(threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))


@dataclass(frozen=True, slots=True)
class Live:
    """The open doors, and what is alive behind them."""

    house: House
    at: Address

    def ask(self, ask: Ask, question: Question | None = None) -> asyncio.Task[list[str]]:
        async def asking() -> list[str]:
            return await ask(self.at, question or Question())

        return asyncio.create_task(asking())

    @property
    def alive(self) -> tuple[int, int, int]:
        """Streams that a door holds, streams that the scheduler knows, frames that wait."""
        dispatch = self.house.dispatch
        return len(self.house.service.streams), dispatch.streams, dispatch.waiting

    async def engine_entered(self) -> None:
        assert await until(lambda: self.house.engine.entered.acquire(blocking=False))

    def holdings(self) -> tuple[object, ...]:
        return self.alive, len(asyncio.all_tasks()), Holdings.now()


@asynccontextmanager
async def open_doors(house: House) -> AsyncIterator[Live]:
    grpc = GrpcDoor(house.service, address="127.0.0.1:0")
    hasty = replace(house.service, predict_timeout_s=DEADLINE_S)
    webs = [
        HttpDoor(build_app(service), host="127.0.0.1", port=0) for service in (house.service, hasty)
    ]
    await grpc.start()
    for door in webs:
        await door.start()
    urls = [f"http://127.0.0.1:{door.port}" for door in webs]
    try:
        yield Live(house, Address(f"127.0.0.1:{grpc.port}", *urls))
    finally:
        house.engine.release()
        await asyncio.gather(grpc.stop(1.0), *(door.stop(1) for door in webs))


def run(case: Callable[[Live], Coroutine[None, None, None]]) -> None:
    """One case behind open doors, as `server.lifecycle` runs them; nothing may be left after it."""

    async def main(house: House) -> None:
        async with open_doors(house) as live:
            for ask in DOORS.values():  # what is made once, with the first question, is made now
                assert await live.ask(ask) == ["answered"]
                await live.engine_entered()
            assert await until(lambda: live.alive == (0, 0, 0))
            before = live.holdings()
            await case(live)
            assert await until(lambda: live.holdings() == before), (before, live.holdings())

    telemetry = WatchedTelemetry()
    house = House(telemetry)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(house))
    finally:
        house.close()
    assert total(telemetry, metrics.FRAMES) == total(telemetry, metrics.FRAMES_RECEIVED)


@pytest.fixture(scope="module")
def libraries() -> None:
    """What libraries keep for the life of a process, a first server and its clients make."""

    async def nothing(_: Live) -> None:
        pass

    run(nothing)


@pytest.fixture(autouse=True)
def _no_server_is_left(libraries: None) -> Iterator[None]:  # noqa: ARG001
    async def holds(expected: Holdings | None) -> Holdings:
        if expected is not None:
            await until(lambda: Holdings.now() == expected)
        return Holdings.now()

    before = asyncio.run(holds(None))  # in a loop both times, for a loop has descriptors itself
    yield
    assert asyncio.run(holds(before)) == before


every_door = pytest.mark.parametrize("ask", DOORS.values(), ids=list(DOORS))


@every_door
def test_success(ask: Ask) -> None:
    async def case(live: Live) -> None:
        assert await live.ask(ask) == ["answered"]

    run(case)


@every_door
def test_a_client_that_goes_away_mid_way(ask: Ask) -> None:
    async def case(live: Live) -> None:
        live.house.engine.hold()
        asking = live.ask(ask)
        await live.engine_entered()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        assert await until(lambda: live.alive == (0, 0, 0))
        live.house.engine.release()

    run(case)


@every_door
def test_a_deadline_that_passes(ask: Ask) -> None:
    """While the engine is busy with somebody else's picture, who gets their answer after it."""

    async def case(live: Live) -> None:
        live.house.engine.hold()
        before_it = live.ask(ask_unary)
        await live.engine_entered()
        [late] = await live.ask(ask, Question(deadline_s=DEADLINE_S))
        assert late in LATE
        live.house.engine.release()
        assert await before_it == ["answered"]

    run(case)


@every_door
def test_bad_input(ask: Ask) -> None:
    async def case(live: Live) -> None:
        assert await live.ask(ask, Question(NO_PICTURE)) == [Code.BAD_IMAGE]

    run(case)


@every_door
def test_an_engine_that_fails(ask: Ask) -> None:
    async def case(live: Live) -> None:
        live.house.engine.fates.append(EngineFault("a bad moment"))
        assert await live.ask(ask) == [Code.ENGINE_FAULT]
        assert await live.ask(ask) == ["answered"]

    run(case)


def frames_received(url: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    counted = [line for line in lines if line.startswith(metrics.FRAMES_RECEIVED + "{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counted)


@every_door
def test_sigterm_while_frames_wait_and_one_is_computed(start_server: StartServer, ask: Ask) -> None:
    """Each frame that was received gets its answer, each stream its Closing, and the exit is 0."""
    server = start_server("--engine=null", "--null-cost-ms=100").wait_ready()
    frames = 5 if ask in (ask_stream, ask_websocket) else 1

    async def main() -> list[str]:
        at = Address(server.grpc_target, server.http_url)
        async with asyncio.timeout(STOP_S):
            asking = asyncio.ensure_future(ask(at, Question(frames=frames, stays=True)))
            while await asyncio.to_thread(frames_received, server.http_url) < frames:
                pass  # asking takes its time
            server.send_signal(signal.SIGTERM)
            return await asking

    outcomes = asyncio.run(main())
    assert len(outcomes) == frames
    assert set(outcomes) <= {"answered", "skipped_shutdown", Code.SHUTTING_DOWN.value}
    assert server.wait_exit() == 0
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line]
