"""What a soak found, what it should have found, and the difference in words. Runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.calm import Held
from benchmarks.results import Summary
from benchmarks.tallies import Run
from benchmarks.watch import Samples, growth_mib, slope_mib, thinned

# Caches fill and the allocator settles before the slope counts.
WARM_UP = 0.2
_MOST_GROWTH_MIB = 20.0
_MOST_SLOPE_MIB = 1.0
# A line through a shorter run says more of the allocator than of a leak.
_SLOPE_NEEDS_S = 600.0
_FAIR_SHARE = 0.8
_EXPECTED_ERROR = "engine.fault"
_SHOWN = 5
_SAMPLES_KEPT = 400


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Soaked:
    """One soak.

    visits          by kind of visitor
    astray          what a visitor found wrong
    steady          the cameras that sent all the time
    received        frames, by the server's count
    frames          by outcome, by the server's count
    before, after   the soak, with nobody there
    memory          samples all through it
    errors          the server's log of faults and bugs
    """

    seconds: float
    visits: Mapping[str, int]
    astray: Sequence[str]
    steady: Run
    received: int
    frames: Mapping[str, int]
    before: Held
    after: Held
    memory: Samples
    errors: Sequence[str]

    @property
    def least_share(self) -> float:
        """Answers of the steady camera that got fewest, of what each would get in fairness."""
        answered = [camera.answered for camera in self.steady.cameras]
        return min(answered) * len(answered) / sum(answered) if sum(answered) else 0.0

    @property
    def slope_mib(self) -> float:
        """Growth of memory in ten minutes, after the warm-up."""
        return slope_mib(self.memory, WARM_UP * self.seconds)

    @property
    def unexpected_errors(self) -> list[str]:
        """Lines of the log that no injected fault explains."""
        return [line for line in self.errors if _EXPECTED_ERROR not in line]


def broken_promises(soaked: Soaked) -> list[str]:
    """Every promise that was not kept, with the figures; empty if all were."""
    settled = sum(soaked.frames.values())
    found = {
        f"received {soaked.received} frames, settled {settled}": soaked.received == settled,
        "every visitor saw what it should: " + "; ".join(soaked.astray[:_SHOWN]): not soaked.astray,
        f"least served camera got {soaked.least_share:.0%} of its share": soaked.least_share
        >= _FAIR_SHARE,
        f"memory grew from {soaked.before.resident_mib:.0f} to"
        f" {soaked.after.resident_mib:.0f} MiB": soaked.after.resident_mib
        - soaked.before.resident_mib
        <= _MOST_GROWTH_MIB,
        f"memory climbs {soaked.slope_mib:.2f} MiB in 10 minutes": soaked.seconds < _SLOPE_NEEDS_S
        or soaked.slope_mib <= _MOST_SLOPE_MIB,
        **soaked.after.promises(soaked.before),
        "the log: " + "; ".join(soaked.unexpected_errors[:_SHOWN]): not soaked.unexpected_errors,
    }
    for number, camera in enumerate(soaked.steady.cameras):
        answers = sum(camera.outcomes.values())
        told = f"camera {number} sent {camera.sent}, got {answers} answers"
        found[told] = camera.sent == answers and dict(camera.closing) == dict(camera.outcomes)
    return [told for told, kept in found.items() if not kept]


def figures(soaked: Soaked) -> dict[str, object]:
    """What goes into the JSON."""
    ages_s = np.concatenate([camera.ages_s for camera in soaked.steady.cameras])
    after_s = WARM_UP * soaked.seconds
    return {
        "seconds": soaked.seconds,
        "broken_promises": broken_promises(soaked),
        "visits": dict(soaked.visits),
        "frames_received": soaked.received,
        "frames_by_outcome": dict(soaked.frames),
        "engine_faults_logged": len(soaked.errors) - len(soaked.unexpected_errors),
        "before": asdict(soaked.before),
        "after": asdict(soaked.after),
        "memory_growth_mib_after_warm_up": round(growth_mib(soaked.memory, after_s), 2),
        "memory_slope_mib_per_10_min": round(soaked.slope_mib, 3),
        "memory_mib": [
            (round(at_s), round(mib, 1)) for at_s, mib in thinned(soaked.memory, _SAMPLES_KEPT)
        ],
        "steady_cameras": {
            "outcomes": soaked.steady.outcomes,
            "sent": soaked.steady.sent,
            "least_share": round(soaked.least_share, 4),
            "age": asdict(Summary.of(ages_s.tolist())) if len(ages_s) else None,
        },
    }
