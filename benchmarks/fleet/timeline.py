"""What happens when, in simulated time. Knows no frame and no node, and waits for nothing."""

import heapq
import itertools
from collections.abc import Callable


class Timeline:
    """Calls that fall due, made in the order of their times; those of one time as they were told.

    now_s  the time of the call that is being made
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []

    def at(self, at_s: float, call: Callable[..., object], *arguments: object) -> None:
        """Make a call at this time, which must not be past."""
        heapq.heappush(self._due, (at_s, next(self._order), call, arguments))

    def every(self, seconds: float, until_s: float, call: Callable[[], object]) -> None:
        """Make a call again and again, first in so many seconds, last before `until_s`."""

        def again() -> None:
            call()
            plan()

        def plan() -> None:
            if self.now_s + seconds < until_s:
                self.at(self.now_s + seconds, again)

        plan()

    def run(self) -> None:
        """Make all calls, and those that they ask for, until none is left."""
        while self._due:
            self.now_s, _, call, arguments = heapq.heappop(self._due)
            call(*arguments)
