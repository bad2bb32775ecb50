"""What a door's fuzzing found, what it should have found, and the difference in words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.calm import Held

# Seconds since the start, MiB, threads, descriptors.
Look: TypeAlias = tuple[float, float, int, int]

_MOST_GROWTH_MIB = 20.0
_LOOKS_KEPT = 300
_SHOWN = 5
_SHOWN_BYTES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """One door's fuzzing.

    visits         conversations
    counts         what came back, by name
    faults         what the server must not do, and by which bytes; the first ones
    faults_in_all  and how many there were
    before, after  with nobody there
    looks          all through it
    errors         the server's log of faults and bugs
    alive          whether it answers a whole request afterwards
    """

    seconds: float
    visits: int
    counts: Mapping[str, int]
    faults: Sequence[tuple[str, bytes]]
    faults_in_all: int
    before: Held
    after: Held
    looks: Sequence[Look]
    errors: Sequence[str]
    alive: bool


def broken_promises(fuzzed: Fuzzed) -> list[str]:
    """Every promise that was not kept, with the figures; empty if all were."""
    before, after = fuzzed.before, fuzzed.after
    grown_mib = after.resident_mib - before.resident_mib
    found = {
        f"{fuzzed.faults_in_all} faults: "
        + "; ".join(what for what, _ in fuzzed.faults[:_SHOWN]): (not fuzzed.faults_in_all),
        "the server answers afterwards": fuzzed.alive,
        f"memory grew by {grown_mib:.1f} MiB": grown_mib <= _MOST_GROWTH_MIB,
        **after.promises(before),
        "the log: " + "; ".join(fuzzed.errors[:_SHOWN]): not fuzzed.errors,
    }
    return [told for told, kept in found.items() if not kept]


def figures(fuzzed: Fuzzed) -> dict[str, object]:
    """What goes into the JSON."""
    looks = fuzzed.looks
    if len(looks) > _LOOKS_KEPT:
        looks = [looks[i] for i in np.linspace(0, len(looks) - 1, _LOOKS_KEPT).round().astype(int)]
    return {
        "seconds": fuzzed.seconds,
        "broken_promises": broken_promises(fuzzed),
        "visits": fuzzed.visits,
        "answers": dict(sorted(fuzzed.counts.items())),
        "faults": fuzzed.faults_in_all,
        "first_faults": [
            {"what": what, "sent": sent[:_SHOWN_BYTES].hex(), "bytes": len(sent)}
            for what, sent in fuzzed.faults
        ],
        "before": asdict(fuzzed.before),
        "after": asdict(fuzzed.after),
        "most_memory_mib": round(max((mib for _, mib, _, _ in looks), default=0.0), 1),
        "seconds_memory_mib_threads_descriptors": [
            (round(at_s), round(mib, 1), threads, descriptors)
            for at_s, mib, threads, descriptors in looks
        ],
        "errors": list(fuzzed.errors[:_SHOWN]),
    }
