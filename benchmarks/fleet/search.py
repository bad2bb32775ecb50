"""The fewest nodes that hold a bound. Knows no simulation: it is given what a number comes to."""

import math
from collections.abc import Callable

# How far the next guess goes while all guesses were on one side.
_STRIDE = 1.1


def fewest(holds: Callable[[int], bool], guess: int) -> int:
    """The smallest number for which `holds`, given that more never hold less.

    guess  where to look first; near the answer, few are asked
    """
    good = bad = max(1, guess)
    if holds(good):
        while bad > 0 and bad == good:
            bad = min(good - 1, math.floor(good / _STRIDE))
            if bad > 0 and holds(bad):
                good = bad
    else:
        while good == bad:
            good = max(bad + 1, math.ceil(bad * _STRIDE))
            if not holds(good):
                bad = good
    while good - bad > 1:
        middle = (good + bad) // 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    return good
