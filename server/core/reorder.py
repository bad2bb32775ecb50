"""Answers of one stream leave in frame order, whatever order they were decided in.

Knows no frame and no transport: it holds back what came early and lets go of what is due.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Reorder(Generic[T]):
    """One stream's answers on their way out. Holds at most as many as there are frames expected."""

    def __init__(self) -> None:
        self._slots: OrderedDict[int, T | None] = OrderedDict()

    def __len__(self) -> int:
        """Frames whose answers have not left."""
        return len(self._slots)

    def expect(self, seq: int) -> None:
        """A frame was received; its answer leaves after those of all frames before it."""
        assert seq not in self._slots
        self._slots[seq] = None

    def settle(self, seq: int, answer: T) -> list[T]:
        """An answer was decided: everything that may leave now, oldest first."""
        assert self._slots[seq] is None
        self._slots[seq] = answer
        due: list[T] = []
        while self._slots:
            first = next(iter(self._slots))
            ready = self._slots[first]
            if ready is None:
                break
            due.append(ready)
            del self._slots[first]
        return due
