"""Whose turn it is: deficit round robin with weights, and a class that goes first.

Knows streams by number and nothing of their frames. A stream of weight 2 gets two frames for each
one of weight 1, however fast either sends. Urgent streams go before the others, but one turn in
five is kept for those: nobody starves.

Deficit round robin is Shreedhar and Varghese, SIGCOMM 1995. A camera's slot holds one frame, so a
stream often has nothing waiting in the middle of its turn: it keeps the rest of its credit, at most
one turn's worth, and goes on with its turn when its next frame comes.
"""

from collections import OrderedDict
from dataclasses import dataclass

# Of this many turns in a row, urgent streams get all but one while others wait.
_KEPT_FOR_OTHERS = 5


@dataclass(slots=True)
class _Share:
    weight: float
    urgent: bool
    credit: float = 0.0
    in_turn: bool = False


class Turns:
    """The order in which waiting streams are served."""

    def __init__(self) -> None:
        self._shares: dict[int, _Share] = {}
        self._urgent: OrderedDict[int, None] = OrderedDict()
        self._others: OrderedDict[int, None] = OrderedDict()
        self._urgent_in_a_row = 0

    def __len__(self) -> int:
        """Streams that wait."""
        return len(self._urgent) + len(self._others)

    def join(self, stream: int, *, weight: float = 1.0, urgent: bool = False) -> None:
        """A stream takes part from now on, with nothing waiting yet."""
        assert weight > 0
        self._shares[stream] = _Share(weight, urgent)

    def leave(self, stream: int) -> None:
        """A stream is gone."""
        self.rest(stream)
        del self._shares[stream]

    def wait(self, stream: int) -> None:
        """A stream has a frame waiting; again is no error."""
        share = self._shares[stream]
        ring = self._ring(share)
        if stream in ring:
            return
        ring[stream] = None
        if share.in_turn:
            ring.move_to_end(stream, last=False)

    def rest(self, stream: int) -> None:
        """A stream has nothing waiting any more; again is no error."""
        self._ring(self._shares[stream]).pop(stream, None)

    def next(self) -> int | None:
        """The stream whose turn it is, charged for one frame; None if nobody waits."""
        ring = self._choose_ring()
        if not ring:
            return None
        while True:
            stream = next(iter(ring))
            share = self._shares[stream]
            if not share.in_turn:
                share.in_turn = True
                share.credit += share.weight
            served = share.credit >= 1
            share.credit -= served
            if share.credit < 1:
                share.in_turn = False
                ring.move_to_end(stream)
            if served:
                return stream

    def _choose_ring(self) -> OrderedDict[int, None]:
        if self._urgent and (not self._others or self._urgent_in_a_row < _KEPT_FOR_OTHERS - 1):
            self._urgent_in_a_row += 1
            return self._urgent
        self._urgent_in_a_row = 0
        return self._others

    def _ring(self, share: _Share) -> OrderedDict[int, None]:
        return self._urgent if share.urgent else self._others
