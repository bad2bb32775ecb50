"""Clients that read nothing or die: what they leave lying is bounded, and nobody else notices."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from fathom import metrics
from fathom.errors import Code
from fathom.session.sync import Client
from fathom.values import EncodedDepth, Frame, OpenStream, Policy
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, open_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.status import error_from_rpc
from tests.acceptance.conftest import REPOSITORY, STOP_S, RunningServer, StartServer, environment
from tests.server.conftest import PICTURE

# A camera that sends large frames as fast as it can, says when the first was answered, and dies.
DYING_CAMERA = """
import sys
import numpy as np
from fathom.session.sync import Client
with Client(sys.argv[1]) as client, client.stream() as stream:
    answers = stream.answers()
    stream.send(np.zeros((700, 700, 3), np.uint8))
    next(answers)
    print("answered", flush=True)
    while True:
        stream.send(np.zeros((700, 700, 3), np.uint8))
"""


def samples(server: RunningServer, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels, as `/metrics` shows them now."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    found = 0.0
    for line in httpx.get(f"{server.http_url}/metrics").text.splitlines():
        if re.match(rf"{name}[{{ ]", line) and all(label in line for label in wanted):
            found += float(line.rsplit(" ", 1)[1])
    return found


def descriptors(server: RunningServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


class SilentReader:
    """A stream that sends and never reads, until it is told to read it all."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)
        self._end = threading.Event()
        self._call = DepthStub(self._channel).Stream(self._requests())

    def _requests(self) -> Iterator[pb.StreamRequest]:
        yield pb.StreamRequest(open=open_to_wire(OpenStream()))
        seq = 0
        while not self._end.is_set():
            seq += 1
            yield pb.StreamRequest(frame=frame_to_wire(Frame(seq=seq, image=PICTURE)))

    def read_all(self) -> tuple[list[int], Code]:
        """The answers' numbers that lie there, and how the stream ended."""
        seqs: list[int] = []
        with pytest.raises(grpc.RpcError) as cut:
            seqs.extend(r.answer.seq for r in self._call if r.WhichOneof("message") == "answer")
        assert isinstance(cut.value, grpc.Call)
        said = cut.value.trailing_metadata() or ()
        return seqs, error_from_rpc(cut.value.code(), "", said).code

    def close(self) -> None:
        self._end.set()
        self._channel.close()


def test_a_reader_that_takes_nothing_gets_skips_is_cut_and_harms_nobody(
    start_server: StartServer,
) -> None:
    server = start_server("--engine=null", "--window-mib=0.3", "--slow-reader-s=1").wait_ready()
    with (
        Client(server.grpc_target) as client,
        client.stream(OpenStream(policy=Policy.ALL)) as other,
    ):
        silent = SilentReader(server.grpc_target)
        answers = other.answers()

        def other_is_served() -> None:
            other.send(PICTURE)
            assert isinstance(next(answers).answer, EncodedDepth)

        while not samples(server, metrics.FRAMES, outcome="skipped", reason="slow_reader"):
            other_is_served()
        while samples(server, metrics.STREAMS) > 1:
            other_is_served()
        for _ in range(20):
            other_is_served()
        other.finish()
        assert list(answers) == []
        assert other.closing is not None and set(other.closing.counts) == {"answered"}
        seqs, code = silent.read_all()
        assert seqs and seqs == list(range(1, len(seqs) + 1))
        assert code is Code.SLOW_READER
        silent.close()
    assert samples(server, metrics.FRAMES) == samples(server, metrics.FRAMES_RECEIVED)
    assert server.stop() == 0


def test_a_reader_that_leaves_before_it_is_told_why_is_no_error_of_the_server(
    start_server: StartServer,
) -> None:
    server = start_server("--engine=null", "--window-mib=0.3", "--slow-reader-s=0.5").wait_ready()
    silent = SilentReader(server.grpc_target)
    while not samples(server, metrics.FRAMES, outcome="skipped", reason="slow_reader"):
        pass  # asking takes its time; the test's limit ends a stream that is never cut
    while samples(server, metrics.STREAMS):
        pass
    silent.close()
    assert server.stop() == 0
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line]


def test_a_client_that_is_killed_while_it_sends_leaves_nothing(
    null_server: RunningServer,
) -> None:
    httpx.get(f"{null_server.http_url}/healthz").raise_for_status()
    before = descriptors(null_server)
    camera = subprocess.Popen(
        [sys.executable, "-c", DYING_CAMERA, null_server.grpc_target],
        cwd=REPOSITORY,
        env=environment() | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
    )
    with camera:
        assert camera.stdout is not None and camera.stdout.readline() == b"answered\n"
        assert samples(null_server, metrics.STREAMS) == 1
        camera.kill()
        camera.wait(STOP_S)
    while samples(null_server, metrics.STREAMS):
        pass  # asking takes its time; the test's limit ends a stream that is never let go
    while descriptors(null_server) > before:
        httpx.get(f"{null_server.http_url}/healthz").raise_for_status()
    assert samples(null_server, metrics.FRAMES) == samples(null_server, metrics.FRAMES_RECEIVED)
    with Client(null_server.grpc_target) as client:
        client.predict(PICTURE)
    assert not [line for line in null_server.log if "ERROR" in line or "Traceback" in line]
