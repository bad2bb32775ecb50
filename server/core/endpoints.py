"""Which of several servers a batch goes to, and when one that failed is asked again.

Knows no socket, thread or clock. Each server has a circuit:

    closed     asked, up to its limit of batches in flight
    open       not asked until its rest is over; every rest is twice as long as the last
    half open  its rest is over: one batch, and no more, finds out whether it is back

A failure that says the server is gone opens its circuit at once, others when they come in a row.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

# One or two failures are a bad moment; a server that is gone says so by itself.
_FAILURES_TO_OPEN = 3
_FIRST_REST_S = 0.25
_LONGEST_REST_S = 8.0


@dataclass(slots=True)
class _Endpoint:
    limit: int
    in_flight: int = 0
    failures: int = 0
    rest_s: float = _FIRST_REST_S
    open_until_s: float | None = None  # None: the circuit is closed
    healthy: bool = True

    @property
    def half_open_taken(self) -> bool:
        return self.open_until_s is not None and self.in_flight > 0

    def takes(self, now_s: float) -> bool:
        """Whether it may be given a batch now."""
        if not self.healthy:
            return False
        if self.open_until_s is None:
            return self.in_flight < self.limit
        return now_s >= self.open_until_s and not self.half_open_taken


class Endpoints:
    """All servers that can compute one model, by number.

    limits  of each, the batches it takes at once: as many as it computes at once, so that nothing
            waits in a queue there
    """

    def __init__(self, limits: Sequence[int]) -> None:
        assert limits
        assert min(limits) >= 1
        self._endpoints = [_Endpoint(limit) for limit in limits]

    @property
    def limit(self) -> int:
        """Batches that all of them take at once."""
        return sum(endpoint.limit for endpoint in self._endpoints)

    def take(self, now_s: float, tried: Collection[int] = ()) -> int | None:
        """A server for one batch, the least loaded; it counts as in flight from here on.

        tried    servers that this batch has been to
        returns  None if none of the others takes a batch now

        One whose rest is over goes first: under a light load it would never be its turn.
        """
        able = [
            (endpoint.open_until_s is None, endpoint.in_flight / endpoint.limit, index)
            for index, endpoint in enumerate(self._endpoints)
            if index not in tried and endpoint.takes(now_s)
        ]
        if not able:
            return None
        index = min(able)[2]
        self._endpoints[index].in_flight += 1
        return index

    def busy(self, tried: Collection[int]) -> bool:
        """Whether some server not yet tried would take this batch once it has answered another."""
        return any(
            endpoint.healthy and endpoint.open_until_s is None
            for index, endpoint in enumerate(self._endpoints)
            if index not in tried
        )

    def succeeded(self, index: int) -> None:
        """It answered: its circuit closes, whatever it was."""
        endpoint = self._endpoints[index]
        endpoint.in_flight -= 1
        endpoint.failures = 0
        endpoint.rest_s = _FIRST_REST_S
        endpoint.open_until_s = None

    def failed(self, index: int, now_s: float, *, gone: bool = False) -> None:
        """It did not answer in time or at all.

        gone  nobody is there: no second batch needs to find that out
        """
        endpoint = self._endpoints[index]
        endpoint.in_flight -= 1
        endpoint.failures += 1
        if endpoint.open_until_s is not None and now_s < endpoint.open_until_s:
            return  # it was in flight when the circuit opened, and says nothing new
        half_open = endpoint.open_until_s is not None
        if gone or half_open or endpoint.failures >= _FAILURES_TO_OPEN:
            endpoint.open_until_s = now_s + endpoint.rest_s
            endpoint.rest_s = min(2 * endpoint.rest_s, _LONGEST_REST_S)

    def hurried(self, index: int) -> None:
        """It was given too little time to answer, which says nothing of it."""
        self._endpoints[index].in_flight -= 1

    def checked(self, index: int, *, healthy: bool) -> None:
        """What the server's own health check says; an unhealthy one is not asked."""
        self._endpoints[index].healthy = healthy

    @property
    def open(self) -> list[int]:
        """Servers that are not asked now, or only to see whether they are back."""
        return [
            index
            for index, endpoint in enumerate(self._endpoints)
            if not endpoint.healthy or endpoint.open_until_s is not None
        ]
