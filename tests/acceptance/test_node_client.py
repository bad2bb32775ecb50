"""A client of another language and another gRPC, which knows of Fathom only `depth.proto`.

Node with `@grpc/grpc-js`, the contract read from the proto at run time. Its two packages are taken
by `npm ci` from a lock file.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.conftest import REPOSITORY, RunningServer
from tests.acceptance.npm import installed
from tests.server.conftest import jpeg

FRAMES = 300
RUN_S = 45.0  # a bound on a hang, far above what it takes

SOURCE = Path(__file__).parent / "node"


@dataclass(frozen=True, slots=True)
class NodeCamera:
    """The installed camera; `stream` is one run of it."""

    node: str
    folder: Path

    def stream(self, target: str, policy: str, picture: Path) -> dict[str, Any]:  # its JSON
        """What it saw of a stream of FRAMES pictures under this policy."""
        proto = REPOSITORY / "fathom" / "wire" / "depth.proto"
        ended = subprocess.run(
            [self.node, "camera.mjs", str(proto), target, policy, str(FRAMES), str(picture)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        seen: dict[str, Any] = json.loads(ended.stdout)
        return seen


@pytest.fixture(scope="module")
def camera() -> NodeCamera:
    folder = installed(SOURCE)
    node = shutil.which("node")
    assert node is not None
    return NodeCamera(node, folder)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """An engine of 200 frames per second, which a camera without a clock surely exceeds."""
    with RunningServer.start("--engine=null", "--null-cost-ms=5") as server:
        yield server.wait_ready()
        assert server.stop() == 0


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of a camera's usual size."""
    rows = np.linspace(0, 255, 480, dtype=np.uint8)
    path = tmp_path_factory.mktemp("node") / "photo.jpg"
    path.write_bytes(jpeg(np.broadcast_to(rows[:, None, None], (480, 640, 3))).data)
    return path


@pytest.mark.parametrize("policy", ["POLICY_LATEST", "POLICY_ALL"])
def test_every_frame_is_answered_once_in_order_and_the_books_agree(
    camera: NodeCamera, server: RunningServer, picture: Path, policy: str
) -> None:
    seen = camera.stream(server.grpc_target, policy, picture)
    assert seen["opened"]["model"] == "null"
    assert seen["seqs"] == list(range(1, FRAMES + 1))
    outcomes = seen["outcomes"]
    assert sum(outcomes.values()) == FRAMES
    assert seen["closing"]["counts"] == outcomes
    assert (seen["closing"]["code"], seen["after_closing"]) == ("", 0)
    if policy == "POLICY_ALL":
        assert outcomes == {"answered": FRAMES}
    else:
        assert set(outcomes) == {"answered", "skipped_superseded"}
    # 640x480 meets the network's 256x320 at one half: 240 rows of 320 pixels of two bytes.
    size = f"320x240 {320 * 240 * 2}"
    assert seen["depths"] == {f"DEPTH_ENCODING_U16_MM {size}": outcomes["answered"]}


@pytest.mark.parametrize("folder", ["node", "axe"])
def test_the_lock_files_name_no_registry(folder: str) -> None:
    """Whoever installs takes the packages from their own; the hashes say that they are the same."""
    text = (SOURCE.parent / folder / "package-lock.json").read_text(encoding="utf-8")
    packages = [entry for path, entry in json.loads(text)["packages"].items() if path]
    assert packages and all("integrity" in entry for entry in packages)
    assert not any("resolved" in entry for entry in packages)
