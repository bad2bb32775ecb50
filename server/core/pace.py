"""How fast a sender is read: a little faster than any camera, so that a flood waits in its pipe.

Knows no clock: time arrives as an argument. A frame that a newer one takes the place of at once has
cost the server its reading all the same, and other cameras that time.
"""

_PER_S = 500.0
# What a network held up for a moment may come at once: the newest of it is soon reached.
_BURST = 100


class Pace:
    """One sender's."""

    def __init__(self) -> None:
        self._due_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """How long to wait before one more frame is read, which this counts."""
        self._due_s = max(self._due_s, now_s - _BURST / _PER_S) + 1 / _PER_S
        return max(0.0, self._due_s - now_s)
