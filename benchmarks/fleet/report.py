"""What a scene comes to: figures for JSON, a line to read, charts. Starts nothing."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.fleet.fleet import Course, Outcome
from benchmarks.plot import F64, Chart, Line, shades

Figures: TypeAlias = dict[str, object]

_SLICES = 80
# Wide enough for the names of all placements beside the axis' own.
_CHART_PX = (380, 760)


@dataclass(frozen=True, slots=True)
class Seen:
    """What cameras got while they sent: in how many ms, and what share of their frames.

    worst_ms  the largest age
    """

    answered: int
    served_fps: float
    served_share: float
    p50_ms: float
    p99_ms: float
    worst_ms: float


def seen(captured_s: F64, ages_s: F64, *, frames: int, seconds: float) -> Seen:
    """Of the answers that came within `seconds`.

    When cameras stop, their last frames are no longer superseded by newer ones, and those that wait
    grow older than any frame of a camera that goes on.
    """
    ages_ms = ages_s[captured_s + ages_s < seconds] * 1e3
    p50, p99, worst = np.percentile(ages_ms, [50, 99, 100]) if len(ages_ms) else [np.inf] * 3
    count = len(ages_ms)
    return Seen(
        count, count / seconds, count / max(1, frames), float(p50), float(p99), float(worst)
    )


def seen_of(outcome: Outcome) -> Seen:
    books, scene = outcome.books, outcome.scene
    return seen(books.captured_s, books.ages_s, frames=books.frames, seconds=scene.seconds)


def figures(outcome: Outcome, cpu_s: float) -> Figures:
    """Everything of a scene that is worth keeping, in units that the names say.

    cpu_s  processor time that the simulation took
    """
    scene, books, each = outcome.scene, outcome.books, seen_of(outcome)
    answered_fps = books.answered / scene.seconds
    return {
        "scene": asdict(scene),
        "frames": books.frames,
        "outcomes": dict(sorted(books.outcomes.items())),
        "sums_agree": books.sums_agree,
        "served_fps": round(each.served_fps, 1),
        "served_share": round(each.served_share, 4),
        "age_p50_ms": _ms(each.p50_ms),
        "age_p99_ms": _ms(each.p99_ms),
        "age_worst_ms": _ms(each.worst_ms),
        "camera_fps": _spread(answered_fps),
        "streams_of_a_node": _spread(np.array(outcome.streams, np.float64)),
        "busy_of_a_node": _spread(np.array(outcome.busy)),
        "all_connected_again_after_s": back_after_s(outcome),
        "nodes_at_most": max(count for _, count in outcome.nodes),
        "cpu_s": round(cpu_s, 1),
    }


def back_after_s(outcome: Outcome) -> float | None:
    """From a loss until every camera had a stream; None without a loss, or if that never was."""
    scene = outcome.scene
    if not (scene.lose or scene.lose_zone):
        return None
    after = [(at_s, count) for at_s, count in outcome.connected if at_s >= scene.lose_at_s]
    whole = [at_s for at_s, count in after if count == scene.cameras]
    return round(whole[0] - scene.lose_at_s, 3) if whole else None


def table(rows: Sequence[tuple[Outcome, Figures]]) -> str:
    """A row for each scene."""
    head = (
        f"{'placement':<13}{'nodes':>6}{'frames':>10}{'served':>8}{'p50 ms':>8}{'p99 ms':>8}"
        f"{'lost':>8}{'streams/node':>14}{'busy':>11}{'cpu s':>7}"
    )
    lines = [head]
    for outcome, kept in rows:
        each, books = seen_of(outcome), outcome.books
        streams, busy = outcome.streams or [0], outcome.busy
        lost = sum(n for name, n in books.outcomes.items() if name.startswith("failed"))
        lines.append(
            f"{outcome.scene.placement:<13}{outcome.scene.nodes:>6}{books.frames:>10}"
            f"{each.served_share:>8.1%}{each.p50_ms:>8.1f}{each.p99_ms:>8.1f}{lost:>8}"
            f"{min(streams):>8} to {max(streams):<3}{min(busy):>5.0%} - {max(busy):<4.0%}"
            f"{kept['cpu_s']:>6}" + ("" if books.sums_agree else "  OUTCOMES DO NOT SUM TO FRAMES")
        )
    return "\n".join(lines)


def charts(outcomes: Sequence[Outcome]) -> list[Chart]:
    """Age, service and streams of scenes that differ in their placement."""
    scene = outcomes[0].scene
    edges = np.linspace(0, scene.seconds, _SLICES + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    colours = shades(len(outcomes))
    parts: list[list[Line]] = [[], [], [], []]
    for outcome, colour in zip(outcomes, colours, strict=True):
        captured_s, ages_s = _while_sending(outcome)
        p99_ms = percentile(captured_s, ages_s * 1e3, edges, 99)
        came_s = captured_s + ages_s
        served = np.histogram(came_s, edges)[0] / np.diff(edges)
        streams = np.sort(np.array(outcome.streams, np.float64))
        for part, (x, y) in zip(
            parts,
            (
                (middles, p99_ms),
                (middles, served),
                _course(outcome.connected),
                (np.arange(len(streams), dtype=np.float64), streams),
            ),
            strict=True,
        ):
            part.append(Line(x=x, y=y, colour=colour, name=outcome.scene.placement))
    about = f"{scene.cameras} cameras x {scene.fps:g} frames/s, {scene.nodes} nodes"
    told = (
        (f"Age: {about}", "time, s", "age p99 by capture, ms"),
        ("Served", "time, s", "answers a second, all cameras"),
        ("Connected", "time, s", "cameras with a stream"),
        ("Streams at the end", "nodes, fewest first", "streams of a node"),
    )
    return [
        Chart(title=title, x_label=x_label, y_label=y_label, lines=lines, size_px=_CHART_PX)
        for (title, x_label, y_label), lines in zip(told, parts, strict=True)
    ] + _scaled(outcomes, colours)


def percentile(x: F64, y: F64, edges: F64, share: float) -> F64:
    """A percentile of y in each [edges[i], edges[i + 1]); NaN where there is none."""
    order = np.argsort(x, kind="stable")
    bounds = np.searchsorted(x[order], edges)
    parts = [y[order[a:b]] for a, b in itertools.pairwise(bounds)]
    return np.array([np.percentile(part, share) if len(part) else np.nan for part in parts])


def _while_sending(outcome: Outcome) -> tuple[F64, F64]:
    """Captures and ages of the answers that `seen` counts."""
    captured_s, ages_s = outcome.books.captured_s, outcome.books.ages_s
    counts = captured_s + ages_s < outcome.scene.seconds
    return captured_s[counts], ages_s[counts]


def _scaled(outcomes: Sequence[Outcome], colours: Sequence[tuple[int, int, int]]) -> list[Chart]:
    """Nodes over time, where they changed by themselves."""
    if outcomes[0].scene.autoscale is None:
        return []
    lines = [
        Line(x=x, y=y, colour=colour, name=outcome.scene.placement)
        for outcome, colour in zip(outcomes, colours, strict=True)
        for x, y in [_course(outcome.nodes)]
    ]
    nodes = Chart(
        title="Nodes",
        x_label="time, s",
        y_label="nodes that serve",
        lines=lines,
        size_px=_CHART_PX,
    )
    return [nodes]


def _course(course: Course) -> tuple[F64, F64]:
    x, y = np.array(course, np.float64).T
    return x, y


def _ms(value: float) -> float | None:
    """JSON has no infinity: a scene in which nobody was answered."""
    return round(value, 2) if np.isfinite(value) else None


def _spread(values: F64) -> Figures | None:
    if not len(values):
        return None
    low, middle, high = np.percentile(values, [0, 50, 100])
    return {"least": round(low, 3), "median": round(middle, 3), "most": round(high, 3)}
