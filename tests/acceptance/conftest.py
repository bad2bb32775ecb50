"""Whole processes: `python -m server` as a user starts it, known to be ready by what it says."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import pytest

from benchmarks.chromium import Browser
from tests.server.tiny_model import write_model

REPOSITORY = Path(__file__).parents[2]

# Bounds on waiting for a process, far above what it takes: they end a hang and time nothing.
READY_S = 60.0
STOP_S = 45.0

_READY = re.compile(r"server\.ready http=(\S+) grpc=(\S+)")


def environment() -> dict[str, str]:
    """This process's environment without settings of a server that it may hold."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FATHOM_")}


@dataclass(slots=True, eq=False)
class RunningServer:
    """A server process and where its doors are; ends with its `with` block.

    log  every line it wrote to standard error so far
    """

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)
    http_url: str = ""
    grpc_target: str = ""
    _said: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False
    _reader: threading.Thread | None = None

    @classmethod
    def start(
        cls, *arguments: str, cwd: Path = REPOSITORY, python: str = sys.executable
    ) -> "RunningServer":
        """`python -m server` with these arguments, on free ports unless they say otherwise."""
        command = [python, "-m", "server", "--http-port=0", "--grpc-port=0", *arguments]
        # PYTHONPATH, so that a server in another folder is still this repository's.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment() | {"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        server = cls(process)
        server._reader = threading.Thread(target=server._read, daemon=True)
        server._reader.start()
        return server

    def wait_ready(self) -> Self:
        """Return once it says so, with its ports known."""
        ready = self.wait_said(_READY, READY_S)
        self.http_url, self.grpc_target = f"http://{ready[1]}", ready[2]
        return self

    def wait_said(self, pattern: re.Pattern[str], timeout_s: float = STOP_S) -> re.Match[str]:
        """The first match in the log, once there is one."""

        def found() -> re.Match[str] | None:
            return next(filter(None, map(pattern.search, self.log)), None)

        with self._said:
            self._said.wait_for(lambda: found() or self._ended, timeout_s)
            match = found()
        assert match, f"the server never said {pattern.pattern!r}:\n" + "\n".join(self.log)
        return match

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        """Its exit code, and its whole log read; ends the test if it does not exit."""
        code = self.process.wait(STOP_S)
        if self._reader is not None:
            self._reader.join(STOP_S)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send_signal(number)
        return self.wait_exit()

    def resident_bytes(self) -> int:
        """Memory it holds now, as the kernel counts it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait_exit()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._said:
                self.log.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()


StartServer: TypeAlias = Callable[..., RunningServer]
StartBrowser: TypeAlias = Callable[..., Browser]


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Starts servers that end with the test; arguments are the server's own."""
    servers: list[RunningServer] = []

    def start(*arguments: str, cwd: Path = REPOSITORY) -> RunningServer:
        servers.append(RunningServer.start(*arguments, cwd=cwd))
        return servers[-1]

    yield start
    for server in servers:
        with server:
            pass


@pytest.fixture
def start_browser(tmp_path: Path) -> Iterator[StartBrowser]:
    """Starts browsers that end with the test; arguments are Chromium's own flags."""
    browsers: list[Browser] = []

    def start(*flags: str) -> Browser:
        profile = tmp_path / f"profile-{len(browsers)}"
        profile.mkdir()
        browsers.append(Browser(profile, *flags))
        return browsers[-1]

    yield start
    for browser in browsers:
        browser.close()


@pytest.fixture(scope="session")
def null_server() -> Iterator[RunningServer]:
    """One server with known depth and no cost, for every test that does not end it."""
    with RunningServer.start("--engine=null", "--max-image-mib=2") as server:
        yield server.wait_ready()
        assert server.stop() == 0


@pytest.fixture(scope="session")
def tiny_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server with a real, tiny network on OpenVINO."""
    folder = tmp_path_factory.mktemp("tiny")
    write_model(folder / "repository")
    arguments = ("--model-repository=repository", "--engine=openvino", "--threads=1")
    with RunningServer.start(*arguments, cwd=folder) as server:
        yield server.wait_ready()
        assert server.stop() == 0
