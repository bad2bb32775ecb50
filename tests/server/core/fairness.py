"""How long a stream may wait for its turn, by hand from the rules of deficit round robin."""

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
    """Its rounds at the others' shares, and one more.

    A stream of weight w is served after at most 1/w rounds; in a round, one of weight v is served
    at most v times, rounded up for the credit that it carries over.
    """
    rounds = math.ceil(1 / weights[stream]) + 1
    others = [weight for other, weight in enumerate(weights) if other != stream]
    return sum(math.ceil(rounds * weight) + 1 for weight in others)
