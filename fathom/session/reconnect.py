"""When a lost stream is tried again, and what is told once it is back. Knows no clock, no socket.

lost --1 s--> try --2 s--> try --4 s--> try ... 30 s ... --> open again, or given up
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from fathom.errors import Code, FathomError
from fathom.values import Closing

# An attempt that hears nothing for so long has failed: a silent host would hold it for minutes.
ATTEMPT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """Terms of finding a lost stream again.

    first_s          wait before the first attempt; each failed one doubles it
    longest_s        bound on that: gentle to a server that restarts
    stable_s         a connection that lasted so long makes the next wait `first_s` again
    give_up_after_s  from the loss; None never gives up
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    stable_s: float = 30.0
    give_up_after_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.longest_s:
            raise FathomError(
                Code.BAD_OPTION,
                expected="0 < first_s <= longest_s",
                got=f"first_s={self.first_s:g} longest_s={self.longest_s:g}",
                repair="leave them out for 1 s, doubling to 30 s",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnected:
    """A gap in a stream that is over.

    lost      numbers of the frames that got `Failed(connection_lost)` for it
    attempts  openings tried, the good one included
    gap_s     from noticing the loss to the server's yes
    reason    what ended the connection
    """

    lost: range
    attempts: int
    gap_s: float
    reason: FathomError


class Backoff:
    """Counts attempts and says how long to wait before each."""

    def __init__(self, terms: Reconnect, jitter: Callable[[], float] = random.random) -> None:
        """jitter  from 0 to 1: half of each wait is random, so that clients return one by one"""
        self._terms = terms
        self._jitter = jitter
        self._delay_s = terms.first_s
        self._since_s: float | None = None
        self._lost_s = 0.0
        self.attempts = 0

    def connected(self, now_s: float) -> float:
        """Note a good connection; returns how long there was none."""
        self._since_s = now_s
        return now_s - self._lost_s

    def over(self, now_s: float, lost: range, reason: FathomError) -> Reconnected:
        """Note a good connection after a loss; the gap that it ends."""
        gap_s = self.connected(now_s)
        return Reconnected(lost=lost, attempts=self.attempts, gap_s=gap_s, reason=reason)

    def lost(self, now_s: float) -> None:
        """Note that the connection is gone."""
        if self._since_s is not None and now_s - self._since_s >= self._terms.stable_s:
            self._delay_s = self._terms.first_s
        self._lost_s = now_s
        self.attempts = 0

    def next_s(self, now_s: float) -> float | None:
        """How long to wait before the next attempt; None to give up."""
        delay_s = self._delay_s * (0.5 + 0.5 * self._jitter())
        patience_s = self._terms.give_up_after_s
        if patience_s is not None:
            left_s = self._lost_s + patience_s - now_s
            if left_s <= 0:
                return None
            delay_s = min(delay_s, left_s)  # the last attempt is at the very end
        self._delay_s = min(2 * self._delay_s, self._terms.longest_s)
        self.attempts += 1
        return delay_s


def ending(closing: Closing) -> FathomError | None:
    """The error in a server's last word; None where the stream came to its proper end."""
    if closing.code is None:
        return None
    return FathomError(
        closing.code,
        expected="a stream that lasts until its sender ends it",
        got=f"the server's end: {closing.reason}",
        repair="start again once a server is ready",
    )
