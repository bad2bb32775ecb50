"""How long a stream may wait for its turn, by hand from the rules of start-time fair queueing."""

import math

# Of so many turns in a row, urgent streams leave one to the others.
KEPT = 5


def longest_wait(weights: list[float], urgent: int, stream: int) -> int:
    """Turns of others before a waiting stream is served; the first `urgent` streams are urgent."""
    if stream < urgent:
        mine = _among_equals(weights[:urgent], stream)
        return mine + math.ceil(mine / (KEPT - 1)) + 1
    return (_among_equals(weights[urgent:], stream - urgent) + 1) * KEPT


def _among_equals(weights: list[float], stream: int) -> int:
    """Turns of equals that start within 1/w of virtual time, the most that its own lies ahead.

    One of weight v starts a turn every 1/v: v/w of them, and one at the very start.
    """
    others = [weight for other, weight in enumerate(weights) if other != stream]
    return sum(math.floor(weight / weights[stream]) + 1 for weight in others)
