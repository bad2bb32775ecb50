"""Two real Tritons behind one server, one of them killed: the cameras hardly notice."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fathom.session.sync import Client, Stream
from fathom.values import EncodedDepth, OpenStream, Policy
from tests.acceptance.conftest import StartServer
from tests.server.conftest import jpeg
from tests.server.engines.real_triton import INSTALL_S, kill, tritons
from tests.server.tiny_model import GREY, INPUT_SIZE

FRAMES = 300
PERIOD_S = 0.01
PICTURE = jpeg(np.full((*INPUT_SIZE, 3), GREY, np.uint8))


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S)
def test_a_killed_server_costs_no_frame_and_no_two_seconds(
    start_server: StartServer, tmp_path: Path
) -> None:
    with tritons(tmp_path, count=2) as fleet:
        addresses = ",".join(triton.address for triton in fleet)
        server = start_server(
            f"--engine=triton://{addresses}", "--model-repository=models", cwd=tmp_path
        ).wait_ready()

        def look(stream: Stream) -> None:
            for k in range(FRAMES):
                if k == FRAMES // 3:
                    kill(fleet[0])
                stream.send(PICTURE)
                time.sleep(PERIOD_S)
            stream.finish()

        answered_s: list[float] = []
        with Client(server.grpc_target) as client:
            with client.stream(OpenStream(policy=Policy.ALL)) as stream:
                camera = threading.Thread(target=look, args=(stream,))
                camera.start()
                for received in stream.answers():
                    assert isinstance(received.answer, EncodedDepth), "\n".join(server.log[-8:])
                    answered_s.append(time.monotonic())
                camera.join()
            assert len(answered_s) == FRAMES
            assert np.diff(answered_s).max() < 2.0  # the promise; it is about a tenth of that
            fleet[0].stop()
            fleet[0].start()
            for _ in range(20):
                client.predict(PICTURE.data)
        assert server.stop() == 0
