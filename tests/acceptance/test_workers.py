"""Several workers behind one pair of ports, as processes: `python -m server --workers 2`."""

import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from fathom import metrics
from fathom.errors import Code, FathomError
from fathom.session.core import outcome
from fathom.session.sync import Client, Stream
from fathom.values import OpenStream, Policy
from tests.acceptance.conftest import RunningServer, StartServer
from tests.server.conftest import PICTURE

WORKERS = 2
# The kernel deals connections out at random: so many all at one worker is once in 8 million runs.
CONNECTIONS = 24
ALL = OpenStream(policy=Policy.ALL)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def server(cache: Path) -> Iterator[RunningServer]:
    """Two workers, who leave nothing behind. One server for all tests: the last one ends it."""
    flags = (f"--workers={WORKERS}", "--engine=null", "--null-cost-ms=10")
    with RunningServer.start(*flags, f"--cache-folder={cache}") as server:
        yield server.wait_ready()
        if server.process.poll() is None:
            assert server.stop() == 0
    assert list(cache.iterdir()) == []
    served = re.findall(r"worker\.ready worker=\d+ pid=(\d+)", "\n".join(server.log))
    assert len(served) >= WORKERS
    assert [pid for pid in served if Path(f"/proc/{pid}").exists()] == []


def pid_of(server: RunningServer, worker: int, but: int = 0) -> int:
    """A worker's process, once it serves; another one than `but`."""
    served = re.compile(rf"worker\.ready worker={worker} pid=(?!{but} )(\d+) ")
    return int(server.wait_said(served)[1])


def ask(server: RunningServer) -> None:
    """Pictures over a connection each."""
    unkept = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=server.http_url, limits=unkept) as client:
        for _ in range(CONNECTIONS):
            client.post("/predict", content=PICTURE.data).raise_for_status()


def frames_of(cache: Path, worker: int) -> float:
    """What one worker has received, as it keeps it beside the others'."""
    [folder] = cache.iterdir()
    file = str(folder / f"counter_{worker}.db")
    counts: Iterable[Metric] = MultiProcessCollector.merge([file])  # type: ignore[no-untyped-call]
    samples = [sample for metric in counts for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name == metrics.FRAMES_RECEIVED)


def total(server: RunningServer, name: str) -> float:
    """The sum of a metric over its labels, by whichever worker answers."""
    lines = [
        line.rsplit(" ", 1) for line in httpx.get(f"{server.http_url}/metrics").text.splitlines()
    ]
    return sum(float(value) for series, value in lines if series.partition("{")[0] == name)


def open_streams(server: RunningServer, stack: ExitStack) -> list[Stream]:
    """Streams of a client each, and so with a connection each."""
    clients = [stack.enter_context(Client(server.grpc_target)) for _ in range(CONNECTIONS)]
    return [stack.enter_context(client.stream(ALL)) for client in clients]


def test_both_serve_on_both_ports_and_one_page_counts_for_both(
    server: RunningServer, cache: Path
) -> None:
    ask(server)
    over_http = [frames_of(cache, worker) for worker in range(WORKERS)]
    assert all(over_http) and sum(over_http) == CONNECTIONS
    with ExitStack() as stack:
        for stream in open_streams(server, stack):
            stream.send(PICTURE)
            stream.finish()
            assert [outcome(received.answer) for received in stream.answers()] == ["answered"]
    in_all = [frames_of(cache, worker) for worker in range(WORKERS)]
    assert all(after > before for after, before in zip(in_all, over_http, strict=True))
    for _ in range(6):  # whoever answers
        assert total(server, metrics.FRAMES_RECEIVED) == sum(in_all) == 2 * CONNECTIONS
        assert total(server, metrics.FRAMES) == 2 * CONNECTIONS
        assert httpx.get(f"{server.http_url}/readyz").status_code == 200
    assert sum("server.ready" in line for line in server.log) == 1
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line]


def test_one_that_is_killed_comes_back_and_the_other_serves_on(
    server: RunningServer, cache: Path
) -> None:
    before = total(server, metrics.FRAMES_RECEIVED)
    with ExitStack() as stack:
        streams = open_streams(server, stack)
        answers = [stream.answers() for stream in streams]
        for stream, its in zip(streams, answers, strict=True):
            stream.send(PICTURE)
            next(its)
        killed = pid_of(server, 1)
        os.kill(killed, signal.SIGKILL)
        server.wait_said(re.compile(r"worker\.gone worker=1 exit=-9"))
        ends = []
        for stream, its in zip(streams, answers, strict=True):
            try:
                stream.send(PICTURE)
                ends.append(outcome(next(its).answer))
            except FathomError as error:
                ends.append(error.code.value)
        lost = [end for end in ends if end != "answered"]
        assert 0 < len(lost) < CONNECTIONS
        assert {end.removeprefix("failed_") for end in lost} == {Code.CONNECTION_LOST.value}
    received = total(server, metrics.FRAMES_RECEIVED)
    # What the killed one had received is among it.
    assert received == before + CONNECTIONS + ends.count("answered")
    pid_of(server, 1, but=killed)
    of_its_last_life = frames_of(cache, 1)
    ask(server)
    assert frames_of(cache, 1) > of_its_last_life > 0
    assert total(server, metrics.FRAMES_RECEIVED) == received + CONNECTIONS


def test_a_signal_ends_all_with_every_frame_answered(server: RunningServer) -> None:
    with ExitStack() as stack:
        streams = open_streams(server, stack)
        answers = [stream.answers() for stream in streams]
        for stream in streams:
            for _ in range(4):
                stream.send(PICTURE)
        outcomes = [[outcome(next(its).answer)] for its in answers]
        server.send_signal(signal.SIGTERM)
        for stream, its, its_outcomes in zip(streams, answers, outcomes, strict=True):
            its_outcomes += [outcome(received.answer) for received in its]
            assert len(its_outcomes) == 4
            assert stream.closing is not None and stream.closing.code is Code.SHUTTING_DOWN
            # A frame that no worker saw any more is in no receipt: it failed at the client.
            told = {name: its_outcomes.count(name) for name in stream.closing.counts}
            assert told == stream.closing.counts
    assert server.wait_exit() == 0


def test_workers_without_their_supervisor_end_and_clear_up(
    start_server: StartServer, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    flags = (f"--workers={WORKERS}", "--engine=null", f"--cache-folder={cache}")
    server = start_server(*flags).wait_ready()
    server.send_signal(signal.SIGKILL)
    server.wait_exit()  # its log ends with the last process that writes there
    assert sum("supervisor.gone" in line for line in server.log) == WORKERS
    assert sum("server.stopped" in line for line in server.log) == WORKERS
    assert list(cache.iterdir()) == []


def test_what_keeps_all_from_starting_is_told_once(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(
        "--workers=3", "--model-repository=nowhere", f"--cache-folder={tmp_path / 'cache'}"
    )
    assert server.wait_exit() == 1
    [error] = [line for line in server.log if line.startswith("server: ")]
    assert "--model-repository" in error
    assert not [line for line in server.log if "Traceback" in line]
