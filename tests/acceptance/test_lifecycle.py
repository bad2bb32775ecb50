"""A server from its first line to its exit code."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fathom.errors import Code
from fathom.session.sync import Client
from fathom.values import OpenStream, Policy
from tests.acceptance.conftest import (
    REPOSITORY,
    STOP_S,
    RunningServer,
    StartServer,
    environment,
)
from tests.server.conftest import PICTURE


def metric_values(server: RunningServer) -> dict[str, float]:
    """Every sample that `/metrics` shows, by name and labels as written."""
    text = httpx.get(f"{server.http_url}/metrics").text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_a_ready_server_says_so_on_both_doors(null_server: RunningServer) -> None:
    assert httpx.get(f"{null_server.http_url}/readyz").status_code == 200
    assert httpx.get(f"{null_server.http_url}/healthz").text == "ok\n"
    with Client(null_server.grpc_target) as client:
        assert [model.name for model in client.describe().models] == ["null"]


def test_health_is_known_from_the_first_moment(start_server: StartServer) -> None:
    server = start_server("--engine=null").wait_ready()
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "fathom.v1.Depth"):
            asked = health_pb2.HealthCheckRequest(service=name)
            assert stub.Check(asked, timeout=STOP_S).status == 1  # SERVING


def test_the_log_says_what_was_set_and_where_from(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "fathom.toml").write_text('engine = "null"\nlanes = 2\n')
    server = start_server(cwd=tmp_path).wait_ready()
    log = "\n".join(server.log)
    assert "setting lanes=2 from=fathom.toml" in log
    assert "setting http_port=0 from=flag" in log
    assert re.search(r"model\.open name=null .* lanes=2", log)
    assert "setting host" not in log  # defaults are not news


def test_metrics_move_in_a_process_that_works(null_server: RunningServer) -> None:
    """Those that need a loop or an engine that runs; the rest are moved by hand elsewhere."""
    before = metric_values(null_server)
    for _ in range(3):
        httpx.post(f"{null_server.http_url}/predict", content=PICTURE.data).raise_for_status()
    after = metric_values(null_server)

    def moved(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert moved('fathom_frames_received_total{model="null"}') == 3
    assert moved('fathom_frames_total{model="null",outcome="answered",reason=""}') == 3
    assert moved("fathom_frame_age_seconds_count") == 3
    assert moved("fathom_batch_size_count") == 3
    for stage in ("wait", "decode", "infer", "finish", "encode"):
        assert moved(f'fathom_stage_seconds_count{{stage="{stage}"}}') == 3
    assert after['fathom_build_info{device="none",engine="null",precision="f32",version="0.1.0"}']
    assert after["fathom_streams"] == after["fathom_waiting_frames"] == 0


def test_loop_lag_is_measured_all_the_time(start_server: StartServer) -> None:
    server = start_server("--engine=null").wait_ready()
    while metric_values(server)["fathom_loop_lag_seconds_count"] < 2:
        pass  # asking takes its time; the test's own limit ends a loop that is never measured


def test_a_real_network_answers_over_both_doors(tiny_server: RunningServer) -> None:
    """A grey of 102 is 3 m away; a JPEG and bf16 round it by less than one in a hundred."""
    picture = np.full((48, 64, 3), 102, np.uint8)
    with Client(tiny_server.grpc_target) as client:
        answer = client.predict(picture)
        assert client.describe().engine == "openvino"
    np.testing.assert_allclose(answer.depth_m, 3.0, rtol=1e-2)
    _, data = cv2.imencode(".png", picture)
    response = httpx.post(f"{tiny_server.http_url}/predict", content=data.tobytes())
    pixels = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None and pixels.shape == (48, 64)
    np.testing.assert_allclose(pixels, 3000, rtol=1e-2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_an_open_stream_ends_it_with_the_reason_and_exits_0(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server("--engine=null").wait_ready()
    with Client(server.grpc_target) as client, client.stream() as stream:
        answers = stream.answers()
        stream.send(PICTURE)
        next(answers)
        server.send_signal(number)
        assert list(answers) == []
        assert stream.closing is not None
        assert stream.closing.code is Code.SHUTTING_DOWN
        assert stream.closing.counts == {"answered": 1}
    assert server.wait_exit() == 0
    assert "server.stopped" in server.log[-1]


def test_frames_that_wait_at_the_end_are_skipped_and_what_runs_is_finished(
    start_server: StartServer,
) -> None:
    server = start_server("--engine=null", "--null-cost-ms=100").wait_ready()
    with (
        Client(server.grpc_target) as client,
        client.stream(OpenStream(policy=Policy.ALL)) as stream,
    ):
        for _ in range(5):
            stream.send(PICTURE)
        answers = stream.answers()
        next(answers)  # so that the next one runs
        server.send_signal(signal.SIGTERM)
        rest = [type(received.answer).__name__ for received in answers]
        assert stream.closing is not None
        assert sum(stream.closing.counts.values()) == 1 + len(rest)
        assert stream.closing.counts["skipped_shutdown"] >= 1
    assert server.wait_exit() == 0


def half_a_request(server: RunningServer) -> socket.socket:
    """A client that announces a picture and never sends it."""
    host, port = server.http_url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), STOP_S)
    connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    connection.sendall(PICTURE.data[:100])
    return connection


def test_a_client_that_stalls_does_not_keep_the_server_from_ending(
    start_server: StartServer,
) -> None:
    server = start_server("--engine=null").wait_ready()
    with half_a_request(server):
        httpx.get(f"{server.http_url}/healthz").raise_for_status()
        assert server.stop() == 0


def test_a_client_that_hangs_up_is_no_bug_of_the_server(start_server: StartServer) -> None:
    server = start_server("--engine=null").wait_ready()
    half_a_request(server).close()
    httpx.post(f"{server.http_url}/predict", content=PICTURE.data).raise_for_status()
    assert server.stop() == 0
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_a_port_that_is_taken_ends_the_start_with_the_way_out(
    start_server: StartServer, taken_port: int, door: str
) -> None:
    server = start_server("--engine=null", f"--{door}-port={taken_port}")
    assert server.wait_exit() == 1
    error = server.log[-1]
    assert error.startswith("server: bad_setting: expected a free address")
    assert f":{taken_port}" in error and f"--{door}-port" in error
    assert not [line for line in server.log if "Traceback" in line]


def run(*command: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=STOP_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--help"], 0, "--http-port"),
        (["--htp-port=1"], 2, "--http-port"),
        (["--lanes=many"], 2, "lanes"),
        (["extra"], 2, "extra"),
        (["--model-repository=nowhere"], 1, "--model-repository"),
    ],
    ids=["help", "unknown flag", "bad value", "extra word", "no models"],
)
def test_the_exit_code_tells_good_from_failed_from_misuse(
    arguments: list[str], code: int, says: str
) -> None:
    ended = run("server", *arguments)
    assert ended.returncode == code
    assert says in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("suffix", ["png", "npy", "jpg", "ply"])
def test_probe_writes_depth_and_says_where_the_time_went(
    null_server: RunningServer, tmp_path: Path, suffix: str
) -> None:
    picture, out = tmp_path / "photo.jpg", tmp_path / f"depth.{suffix}"
    picture.write_bytes(PICTURE.data)
    ended = run("fathom", "probe", str(picture), str(out), "--server", null_server.grpc_target)
    assert ended.returncode == 0, ended.stderr
    assert out.stat().st_size > 0
    assert "64x48 by null 1" in ended.stdout
    for stage in ("wait", "decode", "infer", "finish", "encode", "round trip"):
        assert stage in ended.stdout


def test_probe_of_no_picture_fails_in_words(null_server: RunningServer, tmp_path: Path) -> None:
    picture = tmp_path / "photo.jpg"
    picture.write_text("no picture")
    ended = run("fathom", "probe", str(picture), "out.png", "--server", null_server.grpc_target)
    assert ended.returncode == 1
    assert "bad_image" in ended.stderr and "Traceback" not in ended.stderr
