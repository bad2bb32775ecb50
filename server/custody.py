"""Who answers for the frames that a lane has in hand: the lane, until its engine hangs.

A thread inside a hanging engine cannot be stopped. But its frames can be taken from it, and when it
comes back it finds that they are no longer its own.
"""

import threading
from collections.abc import Callable

from server.pipeline import Batch


class Custody:
    """One lane's decoded batches, from decoding until the engine has answered for them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: list[Batch] = []
        self._computing_since_s: float | None = None
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether this lane's frames were taken from it; it gets no more."""
        return self._lost

    def hold(self, batch: Batch) -> bool:
        """The lane has this batch; False if it is lost and must not."""
        with self._lock:
            if not self._lost:
                self._held.append(batch)
            return not self._lost

    def computing(self, batch: Batch) -> bool:
        """The engine is asked now; False if the batch was taken meanwhile."""
        with self._lock:
            self._computing_since_s = self._clock()
            return batch in self._held

    def release(self, batch: Batch) -> bool:
        """The engine came back; False if the batch was taken meanwhile."""
        with self._lock:
            self._computing_since_s = None
            if batch not in self._held:
                return False
            self._held.remove(batch)
            return True

    def take_overdue(self, limit_s: float) -> list[Batch]:
        """All that the lane holds, if its engine has been busy for longer than this."""
        with self._lock:
            since_s = self._computing_since_s
            if self._lost or since_s is None or self._clock() - since_s <= limit_s:
                return []
            self._lost = True
            taken, self._held = self._held, []
            return taken
