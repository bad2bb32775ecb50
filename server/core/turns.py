"""Whose turn it is: fair shares by weight, the modest first, and a class that goes before others.

Knows streams by number and nothing of their frames. Start-time fair queueing (Goyal, Vin and Cheng,
SIGCOMM 1996): a turn costs a stream 1 / weight of virtual time, and the waiting stream with the
least of it is next. A stream of weight 2 gets two frames for each one of weight 1, however fast
either sends. One that asks for less than its share has the less behind it and goes before those
that always wait: beside a flood, a camera waits for the batch that runs and for no other.

A stream that is new starts behind whoever waits, as if it had just been served: else pictures that
come one by one, each a stream of its own, would go before all cameras.

Urgent streams go before the others, but one turn in five is kept for those: nobody starves.
"""

from dataclasses import dataclass, field

# Of this many turns in a row, urgent streams get all but one while others wait.
_KEPT_FOR_OTHERS = 5


@dataclass(slots=True)
class _Class:
    """Streams that are equals but for their weight.

    now      the virtual time: that of the last turn
    waiting  when each stream's next turn starts in it, and when its last one ended
    """

    now: float = 0.0
    waiting: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(slots=True)
class _Share:
    """A stream's part in its class; `paid` is the virtual time at which its last turn ended."""

    own: _Class
    cost: float
    paid: float


class Turns:
    """The order in which waiting streams are served."""

    def __init__(self) -> None:
        self._shares: dict[int, _Share] = {}
        self._urgent = _Class()
        self._others = _Class()
        self._urgent_in_a_row = 0

    def __len__(self) -> int:
        """Streams that wait."""
        return len(self._urgent.waiting) + len(self._others.waiting)

    def join(self, stream: int, *, weight: float = 1.0, urgent: bool = False) -> None:
        """A stream takes part from now on, with nothing waiting yet."""
        assert weight > 0
        own = self._urgent if urgent else self._others
        self._shares[stream] = _Share(own, 1 / weight, own.now + 1 / weight)

    def leave(self, stream: int) -> None:
        """A stream is gone."""
        self.rest(stream)
        del self._shares[stream]

    def wait(self, stream: int) -> None:
        """A stream has a frame waiting; again is no error."""
        share = self._shares[stream]
        # Time in which it asked for nothing is not saved up.
        share.own.waiting.setdefault(stream, (max(share.own.now, share.paid), share.paid))

    def rest(self, stream: int) -> None:
        """A stream has nothing waiting any more; again is no error."""
        self._shares[stream].own.waiting.pop(stream, None)

    def next(self) -> int | None:
        """The stream whose turn it is, charged for one frame; None if nobody waits."""
        chosen = self._choose()
        if not chosen.waiting:
            return None
        # Of equal starts the one goes first that had none to pay for, then who waits longest.
        stream = min(chosen.waiting, key=chosen.waiting.__getitem__)
        share = self._shares[stream]
        chosen.now, _ = chosen.waiting.pop(stream)
        share.paid = chosen.now + share.cost
        chosen.waiting[stream] = share.paid, share.paid
        return stream

    def _choose(self) -> _Class:
        if self._urgent.waiting and (
            not self._others.waiting or self._urgent_in_a_row < _KEPT_FOR_OTHERS - 1
        ):
            self._urgent_in_a_row += 1
            return self._urgent
        self._urgent_in_a_row = 0
        return self._others
