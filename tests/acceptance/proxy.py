"""A bad line between a client and a server: late, in small pieces, and cut now and then."""

import asyncio
import random
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PATIENCE_S = 20.0


class BadLine:
    """Forwards to a server from an address of its own; a seed makes it bad in the same way again.

    piece_bytes   most that is passed on at once
    jitter_s      longest delay of a piece
    life_bytes    what passes, in both directions, before a connection is cut; None never cuts
    """

    def __init__(
        self,
        target: str,
        *,
        piece_bytes: int = 65536,
        jitter_s: float = 0.0,
        life_bytes: int | None = None,
    ) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._piece_bytes = piece_bytes
        self._jitter_s = jitter_s
        self._life_bytes = life_bytes
        self._random = random.Random(5)  # noqa: S311 - no secret
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._silent = False
        self.cuts = 0
        self.address = ""

    def mend(self) -> None:
        """Cut no more."""
        self._life_bytes = None

    def silence(self) -> None:
        """Pass nothing on and end nothing, as if the other side had lost its power."""
        self._silent = True

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(_PATIENCE_S)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        passed = [0]
        ways = [
            asyncio.ensure_future(self._pass_on(reader, far_writer, passed)),
            asyncio.ensure_future(self._pass_on(far_reader, writer, passed)),
        ]
        try:
            with suppress(asyncio.CancelledError):  # by `_close`; asyncio would log it
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, far_writer):
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: list[int]
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(self._piece_bytes):
                if self._jitter_s:
                    await asyncio.sleep(self._random.uniform(0, self._jitter_s))
                if self._silent:
                    continue
                passed[0] += len(data)
                if self._life_bytes is not None and passed[0] > self._life_bytes:
                    self.cuts += 1
                    return
                writer.write(data)
                await writer.drain()
