"""A real Triton on our repository, asked by the stock client. Started as the README says."""

import os
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
import tritonclient.utils.shared_memory as shared_memory
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from benchmarks.rivals.processes import CannotServe, free_port, running
from export.environments import CannotBuild
from export.networks import of_onnx, of_program
from export.pictures import read_pictures
from export.repository import check_whole, next_version, publish, staged
from export.triton.config import MODEL_SOURCE, make_configs
from export.triton.server import prepare
from fathom.card import Card, ModelFile, sha256_of
from fathom.geometry import RGB
from server.engines.triton_calls import forget
from tests.export.conftest import REPOSITORY
from tests.export.test_repository import CARD

SHIPPED = sorted(path.parent.name for path in (REPOSITORY / "model_repository").glob("*/current"))
INSTALL_S = 600


@dataclass(frozen=True)
class Triton:
    """Addresses of a server, and the repository that it serves."""

    http: str
    grpc: str
    repository: Path

    def client(self) -> tritonclient.grpc.InferenceServerClient:
        return tritonclient.grpc.InferenceServerClient(self.grpc)


def publish_tiny(repository: Path, model_path: Path) -> Card:
    """One more version of the tiny student."""
    with staged(repository, "tiny") as stage:
        version = next_version(repository / "tiny")
        shutil.copyfile(model_path, stage / "model.onnx")
        shutil.copyfile(MODEL_SOURCE, stage / "model.py")
        card = replace(
            CARD,
            version=version,
            files=tuple(
                ModelFile(
                    path=f"{version}/{path.name}",
                    target="onnx" if path.suffix == ".onnx" else "triton-python",
                    precision="f32",
                    bytes=path.stat().st_size,
                    sha256=sha256_of(path),
                )
                for path in sorted(stage.iterdir())
            ),
        )
        publish(repository, card, make_configs(card), stage)
    return card


@pytest.fixture(scope="module")
def triton(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """The README's command, on free ports and a copy of the repository with a tiny model in it."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    [command] = re.findall(r"^```console\n(make triton.*)\n```", readme, re.MULTILINE)
    try:
        prepare()
    except CannotBuild as error:
        pytest.skip(f"no Triton from the package index: {error}")
    repository = tmp_path_factory.mktemp("triton") / "models"
    shutil.copytree(REPOSITORY / "model_repository", repository, symlinks=True)
    publish_tiny(repository, model_path)
    http, grpc, metrics = free_port(), free_port(), free_port()
    words = shlex.split(command.replace("9000", str(http)).replace("9001", str(grpc)))
    words[-1] += f" --metrics-port={metrics} --model-repository={repository}"
    words[-1] += " --model-control-mode=explicit --load-model=tiny"
    environ = {"MAKEFLAGS": "", "PATH": os.environ["PATH"]}
    try:
        with running(
            [words[0], "--directory", str(REPOSITORY), *words[1:]],
            environ=environ,
            health="/v2/health/ready",
            port=http,
        ):
            yield Triton(f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", repository)
    except CannotServe as error:
        pytest.fail(f"Triton did not start: {error}")


def ask(client: object, kind: object, name: str, frames: RGB) -> NDArray[np.float32]:
    sent = kind.InferInput("frames", frames.shape, "UINT8")  # type: ignore[attr-defined]
    sent.set_data_from_numpy(frames)
    return client.infer(name, [sent]).as_numpy("depth_m")  # type: ignore[attr-defined, no-any-return]


def by_shared_memory(triton: Triton, name: str, frames: RGB) -> NDArray[np.float32]:
    """Frames and depth in memory that both processes see; over the wire go only names."""
    answer_bytes = frames[..., 0].size * 4
    client, regions = triton.client(), []
    for key, size in (("frames", frames.nbytes), ("depth_m", answer_bytes)):
        region = shared_memory.create_shared_memory_region(key, f"/{key}-{os.getpid()}", size)
        client.register_system_shared_memory(key, f"/{key}-{os.getpid()}", size)
        regions.append(region)
    try:
        shared_memory.set_shared_memory_region(regions[0], [frames])
        sent = tritonclient.grpc.InferInput("frames", frames.shape, "UINT8")
        sent.set_shared_memory("frames", frames.nbytes)
        wanted = tritonclient.grpc.InferRequestedOutput("depth_m")
        wanted.set_shared_memory("depth_m", answer_bytes)
        client.infer(name, [sent], outputs=[wanted])
        shape = list(frames.shape[:3])
        return np.array(shared_memory.get_contents_as_numpy(regions[1], np.float32, shape))
    finally:
        for key in ("frames", "depth_m"):
            forget(client, key)
        assert client.get_system_shared_memory_status(as_json=True) == {}
        for region in regions:
            shared_memory.destroy_shared_memory_region(region)


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S)
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_student_answers_as_pytorch_does(triton: Triton, name: str) -> None:
    card = check_whole(REPOSITORY / "model_repository" / name / "current")
    frames = read_pictures(REPOSITORY / "samples", card.input_size).frames
    program = next((f.path for f in card.files if f.target == "torch"), None)
    folder = REPOSITORY / "model_repository" / name
    reference = of_program(folder / program) if program else of_onnx(folder / card.files[0].path)
    wanted_m = reference(frames).depth_m
    client = triton.client()
    client.load_model(name)
    answers = [
        ask(client, tritonclient.grpc, name, frames),
        ask(tritonclient.http.InferenceServerClient(triton.http), tritonclient.http, name, frames),
        by_shared_memory(triton, name, frames),
    ]
    client.unload_model(name)
    for found_m in answers:
        assert found_m.shape == wanted_m.shape
        assert np.median(np.abs(found_m - wanted_m) / wanted_m) < 0.01
        np.testing.assert_array_equal(found_m, answers[0])


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S)
def test_models_come_and_go_while_the_server_runs(triton: Triton) -> None:
    client, frames = triton.client(), np.zeros((1, 64, 96, 3), np.uint8)
    ask(client, tritonclient.grpc, "tiny", frames)
    client.unload_model("tiny")
    with pytest.raises(InferenceServerException, match="tiny"):
        ask(client, tritonclient.grpc, "tiny", frames)
    client.load_model("tiny")
    assert ask(client, tritonclient.grpc, "tiny", frames).shape == (1, 64, 96)
    with pytest.raises(InferenceServerException, match="unexpected shape"):
        ask(client, tritonclient.grpc, "tiny", frames[:, :32])


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S)
def test_a_new_version_under_load_loses_no_request(triton: Triton, model_path: Path) -> None:
    old = check_whole(triton.repository / "tiny" / "current").version
    new = str(old + 1)
    asked, over = threading.Barrier(3, timeout=60), threading.Event()
    versions: tuple[list[str], list[str]] = ([], [])
    failed: list[Exception] = []

    def ask_until_it_is_new(answered: list[str]) -> None:
        client = triton.client()
        sent = tritonclient.grpc.InferInput("frames", (1, 64, 96, 3), "UINT8")
        sent.set_data_from_numpy(np.zeros((1, 64, 96, 3), np.uint8))
        while answered.count(new) < 10 and not over.is_set():
            try:
                answered.append(client.infer("tiny", [sent]).get_response().model_version)
            except InferenceServerException as error:
                failed.append(error)
                over.set()
            if len(answered) == 1:
                asked.wait()

    askers = [threading.Thread(target=ask_until_it_is_new, args=(each,)) for each in versions]
    for asker in askers:
        asker.start()
    asked.wait()
    publish_tiny(triton.repository, model_path)
    triton.client().load_model("tiny")
    for asker in askers:
        asker.join(timeout=60)
    over.set()
    assert [str(error) for error in failed] == []
    for answered in versions:  # each in its own order: old ones, then new ones
        assert (answered[0], answered[-1]) == (str(old), new)
        assert answered == sorted(answered, key=int)


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S)
def test_a_file_that_is_not_the_cards_is_not_loaded(triton: Triton, model_path: Path) -> None:
    card = publish_tiny(triton.repository, model_path)
    path = triton.repository / "tiny" / card.files[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    client = triton.client()
    with pytest.raises(InferenceServerException, match="not the file that was measured"):
        client.load_model("tiny")
    path.write_bytes(whole)
    client.load_model("tiny")
    index = tritonclient.http.InferenceServerClient(triton.http).get_model_repository_index()
    ready = [entry["name"] for entry in index if entry.get("state") == "READY"]
    assert "tiny" in ready
