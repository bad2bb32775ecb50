"""Between who has something newer all the time and who takes it when it can: one thing waits."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """passed_over  things that a newer one replaced before they were taken"""

    def __init__(self) -> None:
        self.passed_over = 0
        self._changed = threading.Condition()
        self._newest: T | None = None
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    def put(self, thing: T) -> None:
        """What comes after the end is left."""
        with self._changed:
            if self._ended:
                return
            self.passed_over += self._newest is not None
            self._newest = thing
            self._changed.notify_all()

    def take(self) -> T | None:
        """The newest, once there is one; None when nothing comes any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended)
            thing, self._newest = self._newest, None
            return thing

    def end(self) -> None:
        """Nothing comes any more; what waits may still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """As `end`, and what waits is dropped."""
        with self._changed:
            self._newest = None
            self._ended = True
            self._changed.notify_all()
