"""Several workers behind one pair of ports: starts them, starts one again that died, ends them.

python -m server --workers 4

Opens no engine, answers nobody and is on no frame's way: the kernel deals connections out among the
workers that listen. It only holds the ports, so that they stay these workers' own.

SIGHUP: every worker takes up new versions of the models
SIGTERM or Ctrl-C: every worker stops as one alone would; 0 if all of them did so well
"""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from fathom.errors import Code, FathomError
from server import shared_counts
from server.core.crew import Crew
from server.link import Assignment, Word
from server.ports import held
from server.process import log_ready
from server.settings import Settings

_log = logging.getLogger("fathom.server.supervisor")

# How often to ask for whoever is to be started again; nothing is asked while all are there.
_PERIOD_S = 0.1
# A worker ends within 5 s; one that has not after these hangs.
_PATIENCE_S = 8.0
_WORKER = (sys.executable, "-m", "server.worker")
# What a worker's exit is called that could not even begin.
_NOT_STARTED = 1

# What a worker said, or the code that it exited with; None is a signal to end.
_News: TypeAlias = tuple[int, Word | int] | None


def supervise(settings: Settings) -> int:
    """Run the workers of the settings until a signal; the exit code of the whole.

    raises  BAD_SETTING for ports that are taken, or a cache folder that cannot be written to
    """
    with (
        held("HTTP", settings.host, settings.http_port) as http_port,
        held("gRPC", settings.host, settings.grpc_port) as grpc_port,
        _counts_folder(settings.cache_folder) as folder,
    ):
        ports = {"http_port": http_port, "grpc_port": grpc_port}
        return asyncio.run(
            Supervisor(settings.model_copy(update=ports), Path(folder).absolute()).run()
        )


class Supervisor:
    """The processes of one crew, in one event loop.

    settings    with the ports that are held for the workers
    counts      the folder that all of them count in
    command     what a worker is, but for the number of its link
    patience_s  for workers to end in, before they are killed
    """

    def __init__(
        self,
        settings: Settings,
        counts: Path,
        *,
        command: Sequence[str] = _WORKER,
        patience_s: float = _PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._counts = counts
        self._command = command
        self._patience_s = patience_s
        self._clock = clock
        self._crew = Crew(settings.workers)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._listeners: dict[int, asyncio.Task[None]] = {}
        self._to_reload: set[int] = set()
        self._news: asyncio.Queue[_News] = asyncio.Queue()

    async def run(self) -> int:
        """Keep the workers running until told to end; the exit code."""
        started_s = self._clock()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._news.put_nowait, None)
        while not self._crew.over:
            for worker in self._crew.due(self._clock()):
                await self._start(worker)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD_S if self._crew.waits else None):
                    self._hear(await self._news.get(), started_s)
        _log.info("server.stopped workers=%d", self._settings.workers)
        return self._crew.exit_code

    def _hear(self, news: _News, started_s: float) -> None:
        match news:
            case None:
                self._end()
            case (worker, Word.READY):
                self._ready(worker, started_s)
            case (_, Word.RELOAD):
                self._reload()
            case (worker, int() as exit_code):
                self._gone(worker, exit_code)

    def _ready(self, worker: int, started_s: float) -> None:
        whole = self._crew.ready(worker)
        _log.info(
            "worker.ready worker=%d pid=%d serving=%d of=%d",
            *(worker, self._processes[worker].pid, self._crew.ready_now, self._settings.workers),
        )
        if whole:
            log_ready(
                self._settings,
                http_port=self._settings.http_port,
                grpc_port=self._settings.grpc_port,
                after_s=self._clock() - started_s,
            )
        if worker in self._to_reload:
            self._to_reload.discard(worker)
            self._signal(worker, signal.SIGHUP)

    def _gone(self, worker: int, exit_code: int) -> None:
        was_ending = self._crew.ending
        self._crew.gone(worker, exit_code)
        self._processes.pop(worker, None)
        self._to_reload.discard(worker)
        shared_counts.forget(self._counts, worker)
        if was_ending:
            return
        _log.error(
            "worker.gone worker=%d exit=%d serving=%d of=%d",
            *(worker, exit_code, self._crew.ready_now, self._settings.workers),
        )
        if self._crew.ending:  # one that cannot start at all
            self._end()

    def _end(self) -> None:
        _log.info("server.stopping workers=%d", len(self._processes))
        self._crew.end()
        for worker in self._processes:
            self._signal(worker, signal.SIGTERM)
        asyncio.get_running_loop().call_later(self._patience_s, self._kill)

    def _kill(self) -> None:
        for worker in self._processes:
            _log.error("worker.stuck worker=%d", worker)
            self._signal(worker, signal.SIGKILL)

    def _reload(self) -> None:
        for worker in self._processes:
            if self._crew.serves(worker):
                self._signal(worker, signal.SIGHUP)
            else:  # it would end one that starts, which may have read the last version already
                self._to_reload.add(worker)

    def _signal(self, worker: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._processes[worker].send_signal(number)

    async def _start(self, worker: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(*self._command, str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    process_group=0,  # Ctrl-C is this process's to pass on
                )
            except OSError as error:
                ours.close()
                _log.error("worker.not_started worker=%d %s", worker, error)
                self._news.put_nowait((worker, _NOT_STARTED))
                return
        self._processes[worker] = process
        assignment = Assignment(worker=worker, settings=self._settings, counts=self._counts)
        # Kept, for a task that nobody holds may be forgotten.
        self._listeners[worker] = asyncio.create_task(self._listen(assignment, process, ours))

    async def _listen(
        self, assignment: Assignment, process: asyncio.subprocess.Process, ours: socket.socket
    ) -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        with suppress(ConnectionError):
            writer.write(assignment.to_line())
            async for line in reader:
                self._news.put_nowait((assignment.worker, Word(line.decode().strip())))
        writer.close()
        self._news.put_nowait((assignment.worker, await process.wait()))


def _counts_folder(cache_folder: Path) -> "tempfile.TemporaryDirectory[str]":
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix="workers-", dir=cache_folder)
    except OSError as error:
        raise FathomError(
            Code.BAD_SETTING,
            expected="a cache folder that can be written to, for what the workers count",
            got=f"{cache_folder}: {error.strerror}",
            repair="give --cache-folder",
        ) from error
