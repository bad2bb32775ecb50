"""A model is replaced while cameras look: no frame is lost, and each is of one version."""

import re
import signal
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from fathom.codecs.answer import decode_answer
from fathom.session.sync import Client, Stream
from fathom.values import DepthEncoding, EncodedDepth, OpenStream, Options, Policy
from tests.acceptance.conftest import STOP_S, RunningServer, StartServer
from tests.server.conftest import jpeg
from tests.server.tiny_model import GREY, GREY_M, INPUT_SIZE, write_model

FRAMES = 400
GREY_PICTURE = jpeg(np.full((*INPUT_SIZE, 3), GREY, np.uint8))
EXACT = OpenStream(policy=Policy.ALL, options=Options(depth_encoding=DepthEncoding.F32_M))


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> RunningServer:
    write_model(tmp_path / "repository")
    server = start_server(
        "--model-repository=repository",
        "--engine=openvino",
        "--precision=f32",
        "--threads=1",
        "--reload-by=http",
        cwd=tmp_path,
    )
    return server.wait_ready()


def spoil(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def reload(server: RunningServer) -> dict[str, object]:
    [model] = httpx.post(f"{server.http_url}/models/reload", timeout=STOP_S).json()["models"]
    told: dict[str, object] = model
    return told


def test_under_load_a_new_version_takes_over_and_a_bad_one_does_not(
    server: RunningServer, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    told: list[dict[str, object]] = []

    def swap(stream: Stream) -> None:
        for k in range(FRAMES):
            stream.send(GREY_PICTURE)
            if k == FRAMES // 4:
                write_model(repository, version=2)
                told.append(reload(server))
            if k == FRAMES // 2:
                write_model(repository, version=3)
                spoil(repository / "tiny" / "3" / "model.onnx")
                told.append(reload(server))
        stream.finish()

    with Client(server.grpc_target) as client, client.stream(EXACT) as stream:
        sender = threading.Thread(target=swap, args=(stream,))
        sender.start()
        answers = [received.answer for received in stream.answers()]
        sender.join()
        described = client.describe().models[0].version
    assert [model["version"] for model in told] == [2, 2]
    assert told[0]["refused"] == "" and "model.onnx" in str(told[1]["refused"])
    assert described == 2
    versions = []
    for answer in answers:
        assert isinstance(answer, EncodedDepth)
        versions.append(answer.version)
        # A metre more with every version: the depth is of the version that the answer names.
        true_m = GREY_M - 1 + answer.version
        np.testing.assert_allclose(decode_answer(answer).depth_m, true_m, rtol=1e-3)
    assert len(versions) == FRAMES
    assert versions == sorted(versions) and set(versions) == {1, 2}


def test_a_signal_does_it_too(server: RunningServer, tmp_path: Path) -> None:
    write_model(tmp_path / "repository", version=2)
    server.send_signal(signal.SIGHUP)
    server.wait_said(re.compile(r"model\.reloaded name=tiny version=2 was=1"))
    with Client(server.grpc_target) as client:
        assert client.describe().models[0].version == 2
    for _ in range(3):  # what a signal meets when an engine was closed must still be there
        server.send_signal(signal.SIGHUP)
    assert server.stop() == 0
