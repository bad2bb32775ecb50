"""What a supervisor passes on to its workers, and what it does with one that does not end.

Its workers here are processes of a few lines that note what reaches them; `tests/acceptance` has
real ones.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from server.settings import load
from server.supervisor import Supervisor
from tests.server.conftest import PATIENCE_S

# Says `ready`, and what else it is told to; notes in `said` what it is, and each signal.
_WORKER = """
import json, os, signal, socket, sys
words, ends, link = sys.argv[1], sys.argv[2], socket.socket(fileno=int(sys.argv[3]))
told = json.loads(link.makefile("rb").readline())
said = os.open(told["counts"] + "/said", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
note = lambda word: os.write(said, f"{word} {told['worker']}\\n".encode())
signal.signal(signal.SIGHUP, lambda *_: note("hangup"))
signal.signal(signal.SIGTERM, lambda *_: (note("end"), ends == "ends" and sys.exit()))
note("begins")
link.sendall(("ready\\n" + words * (told["worker"] == 0)).encode())
while True:
    signal.pause()
"""


class Told:
    """What the workers of a folder noted."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "said"

    def lines(self) -> list[str]:
        return sorted(self._file.read_text().split("\n")[:-1]) if self._file.exists() else []

    async def wait(self, *lines: str) -> None:
        """Return once just these were noted, in whatever order."""
        async with asyncio.timeout(PATIENCE_S):
            while self.lines() != sorted(lines):  # noqa: ASYNC110 - files have no event
                await asyncio.sleep(0.005)


def supervised(
    folder: Path,
    case: Callable[[Told], Coroutine[None, None, None]],
    *,
    words: str = "",
    ends: bool = True,
) -> int:
    """The exit code of a supervisor of two workers, which is asked to end after the case."""
    supervisor = Supervisor(
        load(["--workers=2"], {})[0],
        folder,
        command=(sys.executable, "-c", _WORKER, words, "ends" if ends else "stays"),
        patience_s=PATIENCE_S if ends else 0.1,
    )

    async def main() -> int:
        running = asyncio.create_task(supervisor.run())
        await case(Told(folder))
        os.kill(os.getpid(), signal.SIGTERM)
        return await running

    return asyncio.run(main())


def test_a_signal_to_reload_reaches_every_worker(tmp_path: Path) -> None:
    async def case(told: Told) -> None:
        await told.wait("begins 0", "begins 1")
        os.kill(os.getpid(), signal.SIGHUP)
        await told.wait("begins 0", "begins 1", "hangup 0", "hangup 1")

    assert supervised(tmp_path, case) == 0
    assert Told(tmp_path).lines()[2:4] == ["end 0", "end 1"]


def test_what_one_worker_was_asked_to_reload_all_do_and_one_that_starts_does_later(
    tmp_path: Path,
) -> None:
    """The first asks as soon as it is ready: the second has been started and is not."""

    async def case(told: Told) -> None:
        await told.wait("begins 0", "begins 1", "hangup 0", "hangup 1")

    assert supervised(tmp_path, case, words="reload\n") == 0


def test_workers_that_do_not_end_are_killed_and_that_is_no_good_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def case(told: Told) -> None:
        await told.wait("begins 0", "begins 1")

    assert supervised(tmp_path, case, ends=False) == 1
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "worker.stuck worker=0",
        "worker.stuck worker=1",
    ]
