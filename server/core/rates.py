"""How much of something a client may have a second: a bucket for each, that fills by itself.

Knows no clock: time arrives as an argument.
"""

from collections import OrderedDict

# Clients remembered at once. Who comes back after so many others starts with a full bucket.
_CLIENTS = 4096


class Rate:
    """A rate that each client is held to, with a burst that it may take at once.

    per_s  0 is no bound
    burst  one second's worth, and at least one, if None

    What is spent may go into debt, for a picture can be larger than a second's bytes; there is no
    room for more until it is paid.
    """

    def __init__(self, per_s: float = 0.0, burst: float | None = None) -> None:
        self._per_s = per_s
        self._burst = max(1.0, per_s) if burst is None else burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how much, and when

    def has_room(self, client: str, now_s: float) -> bool:
        """Whether this client has anything left."""
        return not self._per_s or self._level(client, now_s) >= 1

    def spend(self, client: str, amount: float, now_s: float) -> None:
        """Take so much from what the client has left."""
        if not self._per_s:
            return
        self._left[client] = (self._level(client, now_s) - amount, now_s)
        self._left.move_to_end(client)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)

    def _level(self, client: str, now_s: float) -> float:
        level, since_s = self._left.get(client, (self._burst, now_s))
        # A clock that stands still or jumps back gives nothing and takes nothing.
        return min(self._burst, level + self._per_s * max(0.0, now_s - since_s))
