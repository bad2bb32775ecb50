"""A real Triton that serves the tiny network, and can be killed and started again."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.rivals.processes import free_port, running
from export.environments import CannotBuild
from export.repository import publish, staged
from export.triton.config import MODEL_SOURCE, make_configs
from export.triton.server import command, environment, prepare
from fathom.card import Card, ModelFile, sha256_of
from tests.server.tiny_model import new_card, write_onnx

INSTALL_S = 600  # once: the wheel is large


@dataclass(slots=True)
class RealTriton:
    """One server: its gRPC address stays the same over its lives."""

    repository: Path
    http_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    pid: int = 0
    _life: ExitStack = field(default_factory=ExitStack)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def start(self) -> None:
        """Return when it serves."""
        arguments = [
            f"--model-repository={self.repository}",
            f"--http-port={self.http_port}",
            f"--grpc-port={self.grpc_port}",
            "--allow-metrics=false",
        ]
        self.pid = self._life.enter_context(
            running(
                command(arguments),
                environ=environment(),
                health="/v2/health/ready",
                port=self.http_port,
            )
        )

    def stop(self) -> None:
        self._life.close()


def publish_tiny(repository: Path) -> Card:
    """The tiny network with labels, as `python -m export` would publish it for Triton."""
    repository.mkdir()
    with staged(repository, "tiny") as stage:
        write_onnx(stage / "model.onnx", labels=True)
        shutil.copyfile(MODEL_SOURCE, stage / "model.py")
        files = [
            ModelFile(
                path=f"1/{name}",
                target=target,
                precision="f32",
                bytes=(stage / name).stat().st_size,
                sha256=sha256_of(stage / name),
            )
            for name, target in (("model.onnx", "onnx"), ("model.py", "triton-python"))
        ]
        card = new_card("tiny", files=files, outputs=("depth_m", "labels"))
        publish(repository, card, make_configs(card), stage)
    return card


@contextmanager
def tritons(folder: Path, count: int = 1) -> Iterator[list[RealTriton]]:
    """So many servers on one repository in this folder; skips the test if there is no Triton."""
    try:
        prepare()
    except CannotBuild as error:
        pytest.skip(f"no Triton from the package index: {error}")
    publish_tiny(folder / "models")
    servers = [RealTriton(folder / "models") for _ in range(count)]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def kill(server: RealTriton) -> None:
    """As the kernel does it when there is no memory: no good-bye, no stub of it left either."""
    os.killpg(server.pid, 9)
