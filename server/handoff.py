"""Between two threads of a lane: one item handed over at a time, made as late as can be.

The maker waits until the user of the item is free, or will be by the time the item is made. So work
overlaps without a queue, in which frames would only grow old.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# Making starts this much before it must, for the clock and the scheduler of threads are no better.
_MARGIN_S = 0.001
_LEAD_WEIGHT = 0.1


class Handoff(Generic[T]):
    """One place for one item. One thread makes, one uses."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self._in_use = False
        self._free_at_s: float | None = None
        self._lead_s = 0.0

    def wait_until_wanted(self) -> None:
        """Maker: return when an item made from now on will not lie about."""
        with self._changed:
            while not self._closed and (self._item is not None or self._in_use):
                wait_s = None
                if self._item is None and self._free_at_s is not None:
                    wait_s = self._free_at_s - self._lead_s - _MARGIN_S - self._clock()
                    if wait_s <= 0:
                        return
                self._changed.wait(wait_s)

    def lead(self, seconds: float) -> None:
        """Maker: how long the last item took to make."""
        self._lead_s += _LEAD_WEIGHT * (seconds - self._lead_s)

    def put(self, item: T) -> None:
        """Maker: hand an item over; waits while the last one was not taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is None)
            self._item = item
            self._changed.notify_all()

    def close(self) -> None:
        """Maker: there will be no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def get(self) -> T | None:
        """User: done with the last item; the next one, or None when there will be no more."""
        with self._changed:
            self._in_use = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            self._in_use = item is not None
            self._free_at_s = None
            self._changed.notify_all()
            return item

    def expect(self, seconds: float) -> None:
        """User: how long the item in use will take."""
        with self._changed:
            self._free_at_s = self._clock() + seconds
            self._changed.notify_all()
