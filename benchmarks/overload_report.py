"""What an overload run comes to: figures for JSON, a table to read, a chart. Starts nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.plot import Chart, Line, envelope, shades
from benchmarks.results import Summary
from benchmarks.tallies import ANSWERED, Camera, Run
from benchmarks.watch import Samples, growth_mib, slope_mib, thinned
from fathom.geometry import F32

Figures: TypeAlias = dict[str, object]

_SETTLED_S = 60.0
_SAMPLES = 120
_BUCKETS = 120
_SKIPPED = "skipped_"
_AGREE = "sum to frames sent, as answers, in closings and in metrics"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One load factor's run with all that was seen of the server.

    capacity_fps   answers a second in a closed loop, by the same server, just before
    fps            offered by each camera
    metrics        what `/metrics` counted during the run, by outcome
    memory         of the server during the run
    server_cpu_s   processor time of the server during the run
    load_averages  before and after
    """

    capacity_fps: float
    fps: float
    picture: str
    run: Run
    metrics: Mapping[str, int]
    memory: Samples
    server_cpu_s: float
    load_averages: tuple[float, float]

    @property
    def load(self) -> float:
        """What the cameras offered over what the server can do."""
        return self.fps * len(self.run.cameras) / self.capacity_fps

    @property
    def served_fps(self) -> float:
        return sum(camera.answered for camera in self.run.cameras) / self.run.seconds

    @property
    def settled_s(self) -> float:
        """From when on memory should stay as it is: a minute, or half of a short run."""
        return min(_SETTLED_S, self.run.seconds / 2)

    @property
    def sums_agree(self) -> bool:
        """Whether outcomes sum to frames sent, and the server counted the same both ways."""
        each = all(
            sum(camera.outcomes.values()) == camera.sent
            and dict(camera.closing) == dict(camera.outcomes)
            for camera in self.run.cameras
        )
        return each and dict(self.metrics) == self.run.outcomes

    @property
    def ages_s(self) -> F32:
        return np.concatenate([camera.ages_s for camera in self.run.cameras])


def figures(measured: Measured) -> Figures:
    """Everything of a run that is worth keeping, in units that the names say."""
    run = measured.run
    late_s = np.concatenate([camera.late_s for camera in run.cameras])
    return {
        "load": round(measured.load, 2),
        "capacity_fps": round(measured.capacity_fps, 1),
        "cameras": len(run.cameras),
        "offered_fps_each": round(measured.fps, 2),
        "picture": measured.picture,
        "seconds": run.seconds,
        "served_fps": round(measured.served_fps, 1),
        "served_share_of_capacity": round(measured.served_fps / measured.capacity_fps, 3),
        "sent": run.sent,
        "outcomes": run.outcomes,
        "outcomes_closing": run.closing,
        "outcomes_metrics": dict(measured.metrics),
        "sums_agree": measured.sums_agree,
        "max_over_min_served": _finite(run.max_over_min),
        "age_ms": ages(measured.ages_s),
        "sent_late_p99_ms": round(float(np.percentile(late_s, 99)) * 1e3, 2),
        "server_resident_mib": {
            "settled_after_s": measured.settled_s,
            "growth": round(growth_mib(measured.memory, measured.settled_s), 2),
            "slope_per_10_min": round(slope_mib(measured.memory, measured.settled_s), 2),
            "at_second": {
                f"{at_s:.0f}": round(mib, 1) for at_s, mib in thinned(measured.memory, _SAMPLES)
            },
        },
        "server_cores": round(measured.server_cpu_s / run.seconds, 2),
        "generator_cores": round(run.cpu_s / run.seconds, 2),
        "load_average": [round(value, 2) for value in measured.load_averages],
        "per_camera": [_camera(camera, run.seconds) for camera in run.cameras],
    }


def ages(ages_s: F32) -> Figures | None:
    """Percentiles over every answer with depth, or None if there is none."""
    if not len(ages_s):
        return None
    summary = asdict(Summary.of([float(age_s) for age_s in ages_s]))
    return {name: value for name, value in summary.items() if name != "count"} | {
        "max_ms": round(float(ages_s.max()) * 1e3, 3)
    }


def table(measured: Measured) -> str:
    """A row for each camera and one for all, with what the machine did below."""
    run = measured.run
    reasons = sorted(name for name in run.outcomes if name.startswith(_SKIPPED))
    shown = [name.removeprefix(_SKIPPED) for name in reasons]
    head = f"{'camera':>6} {'sent':>7} {'answered':>8} " + " ".join(f"{s:>14}" for s in shown)
    lines = [
        f"\nload {measured.load:.2f} x capacity {measured.capacity_fps:.1f} frames/s: "
        f"{len(run.cameras)} cameras x {measured.fps:.2f} frames/s, {measured.picture}, "
        f"{run.seconds:g} s",
        f"{head} {'failed':>6} {'served/s':>8}  age ms:     p50     p95     p99     max",
        *(_row(str(i), camera, reasons, run.seconds) for i, camera in enumerate(run.cameras)),
        _row("all", _everyone(measured), reasons, run.seconds),
        f"served {measured.served_fps / measured.capacity_fps:.1%} of capacity, "
        f"max/min served {run.max_over_min:.3f}, "
        f"outcomes {_AGREE if measured.sums_agree else 'DO NOT SUM TO FRAMES SENT'}",
        f"resident {measured.memory[-1][1]:.1f} MiB at the end; after {measured.settled_s:g} s "
        f"growth {growth_mib(measured.memory, measured.settled_s):+.2f} MiB, "
        f"slope {slope_mib(measured.memory, measured.settled_s):+.2f} MiB in 10 minutes",
        f"cores: server {measured.server_cpu_s / run.seconds:.2f}, "
        f"generator {run.cpu_s / run.seconds:.2f}; load average {measured.load_averages[1]:.2f}",
    ]
    return "\n".join(lines)


def chart(measured: Measured, y_top: float = 0.0) -> Chart:
    """Each camera's worst age in each of a run's slices."""
    run = measured.run
    edges = np.linspace(0, run.seconds, min(_BUCKETS, max(1, int(run.seconds))) + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    last = len(run.cameras) - 1
    lines = [
        Line(
            x=middles,
            y=envelope(
                camera.due_s.astype(np.float64), camera.ages_s.astype(np.float64) * 1e3, edges
            ),
            colour=colour,
            name=f"camera {i}" if i in (0, last) else "",
        )
        for i, (camera, colour) in enumerate(
            zip(run.cameras, shades(len(run.cameras)), strict=True)
        )
    ]
    return Chart(
        title=f"{measured.load:.2g} x capacity: {len(run.cameras)} cameras x "
        f"{measured.fps:.3g} frames/s",
        x_label="time, s",
        y_label=f"worst age in each {edges[1]:g} s, ms",
        lines=lines,
        y_top=y_top,
    )


def _camera(camera: Camera, seconds: float) -> Figures:
    return {
        "sent": camera.sent,
        **camera.outcomes,
        "served_fps": round(camera.answered / seconds, 2),
        "age_ms": ages(camera.ages_s),
    }


def _everyone(measured: Measured) -> Camera:
    run = measured.run
    nothing = np.zeros(0, np.float32)
    return Camera(run.sent, run.outcomes, run.closing, nothing, nothing, measured.ages_s)


def _row(name: str, camera: Camera, reasons: Sequence[str], seconds: float) -> str:
    skips = " ".join(f"{camera.outcomes.get(reason, 0):>14}" for reason in reasons)
    failed = sum(n for outcome, n in camera.outcomes.items() if outcome.startswith("failed"))
    p50, p95, p99 = np.percentile(camera.ages_s, [50, 95, 99]) if len(camera.ages_s) else [0] * 3
    worst = camera.ages_s.max(initial=0)
    return (
        f"{name:>6} {camera.sent:>7} {camera.outcomes.get(ANSWERED, 0):>8} {skips} {failed:>6} "
        f"{camera.answered / seconds:>8.2f}          "
        + " ".join(f"{1e3 * age_s:>7.1f}" for age_s in (p50, p95, p99, worst))
    )


def _finite(value: float) -> float | None:
    """JSON has no infinity: a camera that got nothing."""
    return round(value, 3) if np.isfinite(value) else None
