"""Plays scenes and searches among them; what comes out is figures and charts."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.fleet.costs import Costs
from benchmarks.fleet.fleet import Outcome, Scene, simulate
from benchmarks.fleet.report import Figures, charts, figures, seen_of, table
from benchmarks.fleet.search import fewest
from benchmarks.plot import Chart, Line

# Of the nodes that are found: what fewer and more come to, for the picture.
_AROUND = (0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What is written: the name of its files, figures, charts."""

    name: str
    figures: Figures
    charts: Sequence[Chart]
    sums_agree: bool


def play(scenes: Sequence[Scene], costs: Costs) -> Answer:
    """Each scene; they differ in their placement."""
    rows = [_timed(scene, costs) for scene in scenes]
    print(table(rows))
    return Answer(
        "fleet",
        {"runs": [kept for _, kept in rows]},
        charts([outcome for outcome, _ in rows]),
        all(outcome.books.sums_agree for outcome, _ in rows),
    )


def find(scene: Scene, costs: Costs, age_p99_ms: float, served_share: float) -> Answer:
    """The fewest nodes that hold both bounds, whatever else the scene says."""
    tried: dict[int, tuple[Outcome, Figures]] = {}

    def holds(nodes: int) -> bool:
        tried[nodes] = _timed(replace(scene, nodes=nodes), costs)
        each = seen_of(tried[nodes][0])
        print(
            f"{nodes:>6} nodes: {each.served_share:.2%} served, age p99 {each.p99_ms:.1f} ms",
            flush=True,
        )
        return each.p99_ms <= age_p99_ms and each.served_share >= served_share

    found = fewest(holds, round(scene.cameras * scene.fps / costs.capacity_fps))
    print(
        f"{found} nodes for {scene.cameras} cameras of {scene.fps:g} frames/s: "
        f"age p99 at most {age_p99_ms:g} ms, at least {served_share:.1%} served"
    )
    for share in _AROUND:
        nodes = round(share * found)
        if nodes > 0 and nodes not in tried:
            holds(nodes)
    in_order = {nodes: tried[nodes] for nodes in sorted(tried)}
    return Answer(
        "fleet_find",
        {
            "bounds": {"age_p99_ms": age_p99_ms, "served_share": served_share},
            "fewest_nodes": found,
            "runs": [kept for _, kept in in_order.values()],
        },
        _curves({nodes: outcome for nodes, (outcome, _) in in_order.items()}),
        all(outcome.books.sums_agree for outcome, _ in in_order.values()),
    )


def _curves(tried: Mapping[int, Outcome]) -> list[Chart]:
    """Age and share served over nodes, through the numbers that were played."""
    x = np.array(list(tried), np.float64)
    scene = next(iter(tried.values())).scene
    told: tuple[tuple[str, Callable[[Outcome], float]], ...] = (
        ("age p99, ms", lambda outcome: seen_of(outcome).p99_ms),
        ("frames that are answered, %", lambda outcome: 100 * seen_of(outcome).served_share),
    )
    return [
        Chart(
            title=f"{scene.cameras} cameras x {scene.fps:g} frames/s",
            x_label="nodes",
            y_label=label,
            lines=[Line(x=x, y=np.array([value(outcome) for outcome in tried.values()]))],
        )
        for label, value in told
    ]


def _timed(scene: Scene, costs: Costs) -> tuple[Outcome, Figures]:
    before_s = time.process_time()
    outcome = simulate(scene, costs)
    return outcome, figures(outcome, time.process_time() - before_s)
