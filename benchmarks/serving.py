"""A Fathom server as a process of its own, for as long as a benchmark needs it."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

_READY = re.compile(r"server\.ready http=(\S+) grpc=(\S+)")
_STOP_S = 10
_ERROR = re.compile(r" ERROR |Traceback")
# Enough to see what goes wrong, and a bound on a server that fails all the time.
_ERRORS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a running server is, and its process number.

    errors  what it has logged of faults and bugs so far, a line each
    """

    http: str
    grpc: str
    pid: int
    errors: list[str] = field(default_factory=list)

    @property
    def workers(self) -> list[int]:
        """Process numbers of its workers; of itself, where it has none."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()] or [self.pid]

    @property
    def resident_mib(self) -> float:
        """Memory the process holds now."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("every process of Linux has a VmRSS")

    @property
    def threads(self) -> int:
        """Threads the process has now."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    @property
    def descriptors(self) -> int:
        """Files and sockets the process has open now."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def cpu_s(self) -> float:
        """Processor time it and its workers have used so far, user and system."""
        return sum(cpu_s(pid) for pid in {self.pid, *self.workers})


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def serving(arguments: Sequence[str] = ()) -> Iterator[Serving]:
    """Start `python -m server` on free ports, wait until it is ready, stop it at the end."""
    command = [sys.executable, "-m", "server", "--http-port=0", "--grpc-port=0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _wait_until_ready(process)
        finally:
            process.terminate()
            process.wait(_STOP_S)


@dataclass(frozen=True, slots=True)
class Announced:
    """A small server of the benchmarks: where it is, and its process number."""

    target: str
    pid: int


@contextmanager
def announced(
    module: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Announced]:
    """Start `python -m MODULE`, which prints a word and its port once it serves; end it after.

    environment  what it is told where this process has not been told otherwise, as a server is
    """
    command = [sys.executable, "-m", module, *arguments]
    root, told = Path(__file__).parent.parent, {**environment, **os.environ}
    with subprocess.Popen(
        command, cwd=root, env=told, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            words = process.stdout.readline().split() if process.stdout else []
            if len(words) != 2:
                raise SystemExit(f"{module} did not start")
            yield Announced(f"127.0.0.1:{words[1]}", process.pid)
        finally:
            process.terminate()
            process.wait(_STOP_S)


def _wait_until_ready(process: "subprocess.Popen[str]") -> Serving:
    log = process.stderr
    lines = []
    for line in log or ():
        lines.append(line)
        if match := _READY.search(line):
            server = Serving(match[1], match[2], process.pid)
            # Nobody reads on, so the pipe must be emptied or the server would block on its log.
            threading.Thread(target=_keep_errors, args=(log, server.errors), daemon=True).start()
            return server
    raise SystemExit("the server did not start:\n" + "".join(lines))


def _keep_errors(log: Iterable[str] | None, errors: list[str]) -> None:
    for line in log or ():
        if _ERROR.search(line) and len(errors) < _ERRORS_KEPT:
            errors.append(line.rstrip("\n"))
