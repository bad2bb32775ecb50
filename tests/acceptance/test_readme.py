"""The README's commands do what it says, in the order in which it says them."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import pytest
from plyfile import PlyData

from tests.acceptance.conftest import REPOSITORY, STOP_S, environment
from tests.acceptance.npm import installed

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
# The first start may install the serving packages.
START_S = 240.0
COMMAND_S = 120.0


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository, where commands may leave their files."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in REPOSITORY.iterdir():
        if path.name != ".cache":
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"8000": free_port(), "8001": free_port()}


@pytest.fixture(scope="module")
def served(checkout: Path, ports: dict[str, int]) -> Iterator[None]:
    """`make serve`, the README's first command, until its server says that it is ready."""
    assert blocks("sh")[0] == "make serve\n"
    process = subprocess.Popen(
        ["make", "serve"],
        cwd=checkout,
        env=environment()
        | {"FATHOM_HTTP_PORT": str(ports["8000"]), "FATHOM_GRPC_PORT": str(ports["8001"])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "server.ready" in line:
                break
        else:
            pytest.fail("the server did not start:\n" + "".join(said))
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
        _, rest = process.communicate(timeout=STOP_S)
    assert rest.endswith("server.stopped\n")


def run(command: str, checkout: Path, ports: dict[str, int]) -> str:
    for stated, used in ports.items():
        command = command.replace(f"localhost:{stated}", f"localhost:{used}")
    # The client's own default is the README's port, so tell it the test's.
    command = re.sub(
        r"-m (client|fathom probe) .*", rf"\g<0> --server localhost:{ports['8001']}", command
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=checkout,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(START_S + 4 * COMMAND_S)
@pytest.mark.usefixtures("served")
def test_every_command_does_what_it_says(checkout: Path, ports: dict[str, int]) -> None:
    outputs = [run(block, checkout, ports) for block in blocks("sh")[1:]]

    depth_mm = cv2.imread(str(checkout / "depth.png"), cv2.IMREAD_UNCHANGED)
    photo = cv2.imread(str(checkout / "samples" / "desk.jpg"))
    assert depth_mm is not None and photo is not None
    assert depth_mm.dtype == "uint16" and depth_mm.shape == photo.shape[:2]
    assert depth_mm.min() > 200 and depth_mm.max() < 12_000, "a desk is metres away"

    assert cv2.imread(str(checkout / "depth.jpg")) is not None
    points = PlyData.read(str(checkout / "room.ply"))["vertex"]
    assert len(points) == photo.shape[0] * photo.shape[1]
    assert points["z"].min() > 0.2 and points["z"].max() < 20

    with av.open(str(checkout / "out.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 150
    assert cv2.imread(str(checkout / "window.png"), cv2.IMREAD_UNCHANGED) is not None
    assert any('"indoor-mnv2"' in output for output in outputs)


def example(language: str, place: int, path: Path, ports: dict[str, int]) -> None:
    """Write one of the README's programs to a file, for the server of the tests."""
    program = blocks(language)[place]
    path.write_text(program.replace("localhost:8001", f"localhost:{ports['8001']}"))


@pytest.mark.timeout(START_S + COMMAND_S)
@pytest.mark.usefixtures("served")
def test_the_python_example_prints_metres(checkout: Path, ports: dict[str, int]) -> None:
    example("python", 0, checkout / "example.py", ports)
    printed = run(".venv/bin/python example.py", checkout, ports)
    assert printed.startswith("(240, 320) ") and printed.endswith("metres\n")


@pytest.mark.timeout(START_S + COMMAND_S)
@pytest.mark.usefixtures("served")
def test_the_asyncio_example_prints_an_answer_for_every_frame(
    checkout: Path, ports: dict[str, int]
) -> None:
    example("python", 1, checkout / "watch.py", ports)
    printed = run(".venv/bin/python watch.py", checkout, ports)
    answers = [re.fullmatch(r"(\d) (DepthMap|Skipped) \d+ ms old", x) for x in printed.splitlines()]
    assert [found[1] for found in answers if found] == ["1", "2", "3"]
    assert answers[-1] and answers[-1][2] == "DepthMap"


@pytest.mark.timeout(START_S + COMMAND_S)
@pytest.mark.usefixtures("served")
def test_the_node_example_prints_metres(checkout: Path, ports: dict[str, int]) -> None:
    packages = installed(Path(__file__).parent / "node") / "node_modules"
    (checkout / "node_modules").symlink_to(packages)
    example("js", 0, checkout / "photo.mjs", ports)
    printed = run("node photo.mjs", checkout, ports)
    found = re.fullmatch(r"320 x 240, ([\d.]+) metres in the middle\n", printed)
    assert found and 0.5 < float(found[1]) < 5


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert targets
    missing = [target for target in targets if not (REPOSITORY / target).exists()]
    assert missing == []
