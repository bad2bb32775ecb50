"""How long a door waits for a reader. `asyncio.timeout` costs as much as all else that a door does
around a write; a watch that is only set and cleared costs next to nothing.
"""

import asyncio
from types import TracebackType
from typing import Any

# A wait is looked at so many times: it may last by that share longer than it should.
_LOOKS = 4


class Patience:
    """Cuts this task's wait short when it lasts too long; entered anew for each wait.

    raises  TimeoutError, from the wait. `close` when there is nothing more to wait for.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._since_s: float | None = None
        self._cut = False
        self._next_look = self._loop.call_later(limit_s / _LOOKS, self._look)

    def __enter__(self) -> None:
        self._since_s = self._loop.time()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._since_s = None
        if not self._cut or self._task is None:
            return
        self._cut = False
        # Cancelled by somebody else as well: then that is what it is.
        if self._task.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def close(self) -> None:
        self._next_look.cancel()
        # A task that was cancelled holds its last frames, and they may hold this.
        self._task = None

    def _look(self) -> None:
        self._next_look = self._loop.call_later(self._limit_s / _LOOKS, self._look)
        if self._since_s is None or self._task is None or self._cut:
            return
        if self._loop.time() - self._since_s >= self._limit_s:
            self._cut = True
            self._task.cancel()
