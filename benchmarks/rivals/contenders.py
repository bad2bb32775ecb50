"""The four servers: how each is started, and which cameras it is given."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rivals import student
from benchmarks.rivals.load import Protocol
from benchmarks.rivals.processes import free_port, running
from benchmarks.rivals.styles import Style
from benchmarks.serving import serving
from export.environments import Environment
from export.triton import server as tritonserver
from fathom.card import CARD_FILE

FATHOM, FASTAPI, LIT, TRITON_SERVER = "fathom", "fastapi", "litserve", "triton"
NAMES = (FATHOM, FASTAPI, LIT, TRITON_SERVER)
RIVAL_STYLES = (Style.EVERY, Style.NEWEST)

_RIVALS = Path(__file__).parent
LITSERVE = Environment("rivals-litserve", _RIVALS / "requirements-litserve.txt")


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that answers: its address, what it speaks, its (leading) process."""

    target: str
    protocol: Protocol
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Starts any of the servers, always with the same student.

    folder            of one model of a Fathom model repository
    fathom_arguments  more options for Fathom's own server
    """

    folder: Path
    precision: str = "auto"
    threads: int = 2
    fathom_arguments: Sequence[str] = ()

    def prepare(self, name: str) -> None:
        """Build what the server needs before it can be started; raises CannotBuild."""
        if name == LIT:
            LITSERVE.build()
        elif name == TRITON_SERVER:
            tritonserver.prepare()

    @contextmanager
    def start(self, name: str) -> Iterator[Ready]:
        """A fresh server, gone at the end; raises CannotServe."""
        if name == FATHOM:
            with serving(self._fathom()) as server:
                yield Ready(server.grpc, Protocol.FATHOM, server.pid)
            return
        port = free_port()
        environ = student.environment(self.folder, precision=self.precision, threads=self.threads)
        health, protocol = "/health", Protocol.HTTP
        if name == FASTAPI:
            command = _module(sys.executable, "fastapi_server", port)
        elif name == LIT:
            command = _module(str(LITSERVE.python), "litserve_server", port)
        else:
            command, environ = _triton(port), environ | tritonserver.environment()
            health, protocol = "/v2/health/ready", Protocol.TRITON
        with running(command, environ=environ, health=health, port=port) as pid:
            yield Ready(f"127.0.0.1:{port}", protocol, pid)

    def _fathom(self) -> list[str]:
        return [
            f"--model-repository={self.folder.parent}",
            f"--models={self.folder.name}",
            f"--precision={self.precision}",
            f"--threads={self.threads}",
            *self.fathom_arguments,
        ]


def model_folder(repository: Path, name: str = "") -> Path:
    """The named model of a repository, or its first; raises SystemExit if there is none."""
    folders = [path.parent for path in sorted(repository.glob(f"{name or '*'}/{CARD_FILE}"))]
    if not folders:
        raise SystemExit(f"rivals: no model {name!r} in {repository}: give --model-repository")
    return folders[0]


def styles_of(name: str) -> tuple[Style, ...]:
    """Fathom's cameras open a stream; a rival has nothing like it and gets both client styles."""
    return (Style.STREAM,) if name == FATHOM else RIVAL_STYLES


def _module(python: str, name: str, port: int) -> list[str]:
    return [python, "-m", f"benchmarks.rivals.{name}", "--port", str(port)]


def _triton(port: int) -> list[str]:
    return tritonserver.command(
        [
            f"--model-repository={_RIVALS / 'triton'}",
            f"--http-port={port}",
            "--allow-grpc=false",
            "--allow-metrics=false",
        ]
    )
