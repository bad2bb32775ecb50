"""A rival's server as processes of its own session: started, watched and ended together."""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

_START_S = 60.0
# What still waits in a queue then is of no use to anybody.
_STOP_S = 3.0
_POLL_S = 0.05


class CannotServe(Exception):  # noqa: N818 - it names what happened, as the table shows it
    """A server did not become ready, or did not answer; it has no figures, the others do."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], *, environ: Mapping[str, str], health: str, port: int
) -> Iterator[int]:
    """Start a server, wait until `GET health` says 200, give its process number, end it all.

    raises  CannotServe
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if not _becomes_ready(process, port, health):
                log.seek(0)
                raise CannotServe((log.read().strip() or "not a word").splitlines()[-1])
            yield process.pid
        finally:
            _stop(process)


def memory_mib(pid: int) -> float:
    """Memory of a process and all others of the session it leads; shared pages count once."""
    return sum(_proportional_kib(member) for member in {pid, *_session(pid)}) / 1024


def _becomes_ready(process: "subprocess.Popen[bytes]", port: int, path: str) -> bool:
    give_up_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < give_up_s:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with suppress(OSError, http.client.HTTPException), closing(asking) as connection:
            connection.request("GET", path)
            with connection.getresponse() as response:
                if response.status == 200:
                    return True
        time.sleep(_POLL_S)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):  # whoever of them is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _session(leader: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            if int(fields[3]) == leader:
                yield int(folder.name)


def _proportional_kib(pid: int) -> int:
    with suppress(OSError):  # it may have ended meanwhile
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
