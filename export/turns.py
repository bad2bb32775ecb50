"""Calls timed in turns, so that whatever else the machine does meets all of them alike."""

import itertools
import time
from collections.abc import Callable, Mapping


def in_turns(
    named: Mapping[str, Callable[[], object]], *, rounds: int, calls: int
) -> dict[str, list[list[float]]]:
    """Seconds of every call by name and round: `calls` of one, then of the next, round by round."""
    seconds: dict[str, list[list[float]]] = {name: [] for name in named}
    for _, (name, call) in itertools.product(range(rounds), named.items()):
        seconds[name].append([_seconds(call) for _ in range(calls)])
    return seconds


def _seconds(call: Callable[[], object]) -> float:
    before_s = time.perf_counter()
    call()
    return time.perf_counter() - before_s
