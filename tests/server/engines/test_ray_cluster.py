"""A server before two Ray nodes, one of which is killed under load: no frame goes unanswered."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fathom.session.sync import Client
from server.engines import null
from tests.acceptance.conftest import RunningServer
from tests.server.conftest import jpeg
from tests.server.engines.ray_cluster import START_S, RayCluster, publish_card

PICTURE = jpeg(np.zeros((24, 32, 3), np.uint8)).data
CAMERAS = 4
# Long enough that two replicas serve twice the frames of one, whatever else the machine does.
COST_MS = 60
WINDOW_S = 2.0
RECOVERS_WITHIN_S = 30.0


class Load:
    """Cameras that send a picture when the last one is answered; any failure is kept."""

    def __init__(self, target: str) -> None:
        self.answered = 0
        self.failures: list[Exception] = []
        self._target = target
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._cameras = [threading.Thread(target=self._look) for _ in range(CAMERAS)]

    def __enter__(self) -> "Load":
        for camera in self._cameras:
            camera.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for camera in self._cameras:
            camera.join()

    def frames_per_s(self) -> float:
        """Over the window that begins now."""
        before = self.answered
        self._done.wait(WINDOW_S)
        return (self.answered - before) / WINDOW_S

    def _look(self) -> None:
        with Client(self._target) as client:
            while not self._done.is_set():
                try:
                    client.predict(PICTURE)
                except Exception as error:  # noqa: BLE001 - whatever it was, the test shows it
                    self.failures.append(error)
                else:
                    with self._lock:
                        self.answered += 1


@pytest.fixture
def server(ray_nodes: RayCluster, tmp_path: Path) -> Iterator[RunningServer]:
    publish_card(tmp_path / "models", null.CARD)
    with (
        ray_nodes.deployed(model="null", engine="null", null_cost_ms=COST_MS),
        pytest.MonkeyPatch.context() as environ,
    ):
        environ.setenv("RAY_ADDRESS", ray_nodes.address)
        arguments = ("--engine=ray", "--model-repository=models")
        with RunningServer.start(*arguments, cwd=tmp_path) as running:
            yield running.wait_ready()
            assert running.stop() == 0, "\n".join(running.log)


@pytest.mark.slow
@pytest.mark.timeout(START_S)
def test_a_killed_node_costs_no_frame_and_its_successor_is_used_without_a_restart(
    ray_nodes: RayCluster, server: RunningServer
) -> None:
    with Load(server.grpc_target) as load:
        load.frames_per_s()
        before = load.frames_per_s()
        ray_nodes.kill_second_node()
        killed_s = time.monotonic()
        left = load.frames_per_s()
        ray_nodes.add_node()
        while load.frames_per_s() < 0.8 * before:
            assert time.monotonic() - killed_s < RECOVERS_WITHIN_S, "\n".join(server.log[-30:])
    assert load.failures == [], "\n".join(server.log[-30:])
    assert left > 0
