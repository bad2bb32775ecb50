"""Bytes that nobody meant to send, at every door: answered or refused, never a bug of the server.

Bounded to seconds; `python -m benchmarks.fuzz` does the like for as long as one wants.
"""

import json
import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks.mutations import mutated, png, png_chunk, small_pictures
from fathom.errors import Code, FathomError
from fathom.session import sync
from fathom.session.channel import CHANNEL_OPTIONS
from fathom.session.reconnect import Reconnect
from fathom.session.sync import Client
from fathom.values import EncodedDepth, Failed, OpenStream, Policy
from fathom.wire import depth_pb2 as pb
from tests.acceptance.conftest import RunningServer
from tests.acceptance.proxy import BadLine
from tests.acceptance.test_bad_input import PATIENCE_S
from tests.acceptance.test_entry import guarded_methods
from tests.acceptance.test_ill_behaved_clients import samples
from tests.server.conftest import PICTURE

ROUNDS = 60
CUTS = 3
SERVER_FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
# What one bomb may take while it is looked at, of the quarter of a gigabyte that it unfolds to.
BOMB_BYTES = 256 * 2**20
BOMB_SLACK_BYTES = 96 * 2**20


@pytest.fixture(autouse=True)
def _no_bug_is_logged(null_server: RunningServer) -> Iterator[None]:
    before = len(null_server.log)
    yield
    with Client(null_server.grpc_target) as client:
        client.predict(PICTURE)
    said = null_server.log[before:]
    assert not [line for line in said if "ERROR" in line or "Traceback" in line], said


def test_whatever_the_openapi_document_allows_is_no_500(null_server: RunningServer) -> None:
    schema = schemathesis.openapi.from_url(f"{null_server.http_url}/openapi.json")
    asked = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: "schemathesis.Case[Any]") -> None:
            status = case.call(timeout=PATIENCE_S).status_code
            assert status < 500 or status in {501, 503, 504}

        ask()
        asked.add(operation.path)
    assert {"/predict", "/models", "/healthz", "/metrics"} <= asked


def test_spoiled_messages_are_no_fault_of_any_grpc_method(null_server: RunningServer) -> None:
    rng = np.random.default_rng(3)
    frame = pb.Frame(seq=1, image=pb.Image(data=PICTURE.data), deadline_us=10**6)
    whole = [
        pb.PredictRequest(model="null", image=pb.Image(data=PICTURE.data)).SerializeToString(),
        pb.StreamRequest(open=pb.Open(model="null", stream_name="a")).SerializeToString(),
        pb.StreamRequest(frame=frame).SerializeToString(),
    ]
    faults = []
    with grpc.insecure_channel(null_server.grpc_target) as channel:
        for method in sorted(guarded_methods()):
            if "reflection" in method or method.endswith("/Watch"):
                continue  # gRPC's own, and one without end
            call = channel.stream_stream(method, bytes, bytes)
            for n in range(ROUNDS // 4):
                opening = [whole[1]] if method.endswith("Depth/Stream") and n % 2 else []
                sent = [*opening, mutated(whole[n % 3], rng)]
                try:
                    list(call(iter(sent), timeout=PATIENCE_S))
                except grpc.RpcError as error:
                    if error.code() in SERVER_FAULTS:
                        faults.append((method, error.details(), sent))
    assert not faults


def test_spoiled_messages_are_no_fault_of_the_socket(null_server: RunningServer) -> None:
    rng = np.random.default_rng(4)
    opening = json.dumps({"open": {"model": "null", "policy": "POLICY_ALL"}}).encode()
    header = json.dumps({"seq": 1, "image": {"encoding": "IMAGE_ENCODING_JPEG"}}).encode()
    frame = len(header).to_bytes(4, "little") + header + PICTURE.data
    url = null_server.http_url.replace("http", "ws", 1) + "/stream"

    def converse(socket: ClientConnection, n: int) -> None:
        if n % 2:
            socket.send(opening.decode())
            socket.send(mutated(frame, rng))
            socket.send('{"finish": {}}')
        else:
            socket.send(mutated(opening, rng).decode(errors="replace"))
            socket.send(mutated(b'{"finish": {}}', rng).decode(errors="replace"))
            socket.send('{"finish": {}}')
        while True:
            socket.recv(PATIENCE_S)

    for n in range(ROUNDS):
        with connect(url, proxy=None) as socket, pytest.raises(ConnectionClosed) as closed:
            converse(socket, n)
        assert closed.value.rcvd is None or closed.value.rcvd.code != 1011


def test_text_that_is_no_utf8_closes_the_socket_and_is_not_logged(
    null_server: RunningServer,
) -> None:
    url = null_server.http_url.replace("http", "ws", 1) + "/stream"
    with connect(url, proxy=None) as socket:
        socket.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE_S)


def test_spoiled_pictures_cost_their_stream_nothing_but_their_own_answer(
    null_server: RunningServer,
) -> None:
    rng = np.random.default_rng(5)
    # The first bytes say which form it is, which a client of ours looks at itself.
    pictures = [d[:12] + mutated(d[12:], rng) for d in small_pictures() for _ in range(ROUNDS // 3)]
    with (
        Client(null_server.grpc_target) as client,
        client.stream(OpenStream(policy=Policy.ALL)) as stream,
    ):
        answers = stream.answers()
        for picture in pictures:
            stream.send(picture)
            answer = next(answers).answer
            assert isinstance(answer, EncodedDepth | Failed)
            assert not isinstance(answer, Failed) or answer.code is not Code.INTERNAL
        stream.send(PICTURE)
        assert isinstance(next(answers).answer, EncodedDepth)


ZEROS = zlib.compress(bytes(BOMB_BYTES), 1)
SMALL = png_chunk(b"IDAT", zlib.compress(bytes(8 * (1 + 8 * 3))))
BOMBS = {
    "pixels": png(8, 8, png_chunk(b"IDAT", ZEROS)),
    "text": png(8, 8, png_chunk(b"zTXt", b"a\0\0" + ZEROS), SMALL),
    "profile": png(8, 8, png_chunk(b"iCCP", b"a\0\0" + ZEROS), SMALL),
}


def peak_bytes(server: RunningServer) -> int:
    """The most memory that it ever held, as the kernel counts it."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:  # noqa: PTH123
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
def test_a_bomb_behind_a_small_header_is_not_unfolded(
    null_server: RunningServer, bomb: bytes
) -> None:
    httpx.post(f"{null_server.http_url}/predict", content=PICTURE.data).raise_for_status()
    before = peak_bytes(null_server)
    answer = httpx.post(f"{null_server.http_url}/predict", content=bomb, timeout=PATIENCE_S)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500
    assert peak_bytes(null_server) - before < BOMB_SLACK_BYTES


@pytest.mark.parametrize(
    "line",
    [
        {"piece_bytes": 1},
        {"jitter_s": 0.02},
        {"life_bytes": 40_000},
        {"life_bytes": 3_000, "piece_bytes": 4_000, "jitter_s": 0.002},
    ],
    ids=["byte by byte", "jitter", "cuts", "all of it"],
)
def test_on_a_bad_line_every_frame_still_has_one_answer(
    null_server: RunningServer, line: dict[str, float]
) -> None:
    frames = 3 if line.get("piece_bytes") == 1 else 20
    with (
        BadLine(null_server.grpc_target, **line) as bad,  # type: ignore[arg-type]  # one dict of both
        Client(bad.address) as client,
        client.stream(reconnect=Reconnect(first_s=0.01, longest_s=0.05)) as stream,
    ):
        answers = stream.answers()
        seqs = []
        answered = 0
        while answered < frames:
            if bad.cuts >= CUTS:
                bad.mend()
            seqs.append(stream.send(PICTURE))
            received = next(answers)
            assert received.answer.seq == seqs[-1]
            assert isinstance(received.answer, EncodedDepth | Failed)
            if "life_bytes" not in line or bad.cuts >= CUTS:
                answered += isinstance(received.answer, EncodedDepth)
        stream.finish()
        assert list(answers) == []
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    while samples(null_server, "fathom_streams"):
        pass  # asking takes its time; the test's limit ends a stream that is never let go
    assert samples(null_server, "fathom_frames_total") == samples(
        null_server, "fathom_frames_received_total"
    )


def test_a_server_that_falls_silent_is_noticed(
    null_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is, only sooner: a stream waits 17 s for a server from which nothing comes."""
    known = dict(CHANNEL_OPTIONS)
    sooner = {name: 200 for name in known if "keepalive" in name or "ping" in name}
    assert len(sooner) == 3
    monkeypatch.setattr(sync, "CHANNEL_OPTIONS", tuple((known | sooner).items()))
    with BadLine(null_server.grpc_target) as line, Client(line.address) as client:
        stream = client.stream()
        answers = stream.answers()
        stream.send(PICTURE)
        assert isinstance(next(answers).answer, EncodedDepth)
        line.silence()
        stream.send(PICTURE)
        lost = next(answers).answer
        assert isinstance(lost, Failed) and lost.code is Code.CONNECTION_LOST
        with pytest.raises(FathomError, match="ping timeout") as caught:
            next(answers)
        assert caught.value.code is Code.CONNECTION_LOST
        stream.close()
