"""Scenes: no frame without an outcome, whatever dies, joins or leaves; and the same by seed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fleet.autoscaler import Terms
from benchmarks.fleet.books import LOST
from benchmarks.fleet.costs import Costs, Spread, fixed_costs
from benchmarks.fleet.fleet import Scene, simulate
from benchmarks.fleet.placement import PLACEMENTS
from benchmarks.fleet.report import back_after_s, seen_of

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
# No bound but the rule's own.
FREE = Terms(hold_s=0, calm_s=1, up=99, down=99, every_s=1, start_s=1)
QUICK = replace(FREE, target=0.5, every_s=0.5, start_s=0.4, most=6)


def uneven(overlap: bool) -> Costs:
    """20 ms a frame, sometimes twice that; two take 30 ms."""
    costs = fixed_costs({1: 0.020, 2: 0.030}, carry_s=0.004, lanes=2, overlap=overlap)
    spread = Spread((0.0, 0.9, 1.0), (0.8, 1.2, 2.0))
    return Costs(
        source=costs.source,
        curve=costs.curve,
        infer=spread,
        decode=Spread.fixed(0.001),
        finish=Spread.fixed(0.002),
        carry=costs.carry,
        lanes=2,
        overlap=overlap,
    )


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_every_frame_has_exactly_one_outcome(data: st.DataObject) -> None:
    draw = data.draw
    autoscale = draw(st.sampled_from([None, QUICK]))
    scene = Scene(
        cameras=draw(st.integers(1, 12)),
        fps=draw(st.sampled_from([4.0, 10.0, 30.0])),
        nodes=draw(st.integers(1, 4)),
        seconds=draw(st.sampled_from([0.5, 3.0])),
        ramp_s=draw(st.sampled_from([0.0, 2.0])),
        placement=draw(st.sampled_from(sorted(PLACEMENTS))),
        lose=draw(st.integers(0, 4)),
        lose_zone=draw(st.booleans()),
        lose_at_s=draw(st.sampled_from([0.0, 0.3, 1.5])),
        notice_s=draw(st.sampled_from([0.0, 0.2, 9.0])),
        report_s=0.5,
        streams=draw(st.sampled_from([2, 64])),
        autoscale=autoscale,
        move=draw(st.booleans()),
        seed=draw(st.integers(0, 3)),
    )
    outcome = simulate(scene, uneven(draw(st.booleans())))
    books = outcome.books
    assert books.sums_agree
    assert books.outcomes.total() == books.frames
    if not scene.ramp_s:
        assert books.frames == scene.cameras * scene.fps * scene.seconds
    assert len(books.ages_s) == books.outcomes["answered"] == books.answered.sum()
    assert (books.ages_s > 0).all()


def test_the_same_seed_is_the_same_scene_and_another_is_not() -> None:
    scene = Scene(cameras=20, fps=10, nodes=4, seconds=4, lose=1, lose_at_s=1)
    first, again = simulate(scene, uneven(overlap=False)), simulate(scene, uneven(overlap=False))
    assert first.books.outcomes == again.books.outcomes
    np.testing.assert_array_equal(first.books.ages_s, again.books.ages_s)
    other = simulate(replace(scene, seed=1), uneven(overlap=False))
    assert other.books.ages_s.tolist() != first.books.ages_s.tolist()


def test_a_node_that_dies_takes_its_frames_along() -> None:
    """10 frames/s; dead at 550 ms, noticed at 750 ms, and there is no other: 6 answers of 10."""
    scene = Scene(
        cameras=1, fps=10, nodes=1, seconds=1, spread=False, lose=1, lose_at_s=0.55, notice_s=0.2
    )
    outcome = simulate(scene, fixed_costs({1: 0.010}))
    assert outcome.books.outcomes == {"answered": 6, LOST: 4}
    assert back_after_s(outcome) is None


def test_a_frame_under_way_when_its_node_dies_is_lost_and_not_answered() -> None:
    """Frames at 0 and 500 ms, each 300 ms of work; dead at 600 ms."""
    scene = Scene(cameras=1, fps=2, nodes=1, seconds=1, spread=False, lose=1, lose_at_s=0.6)
    books = simulate(scene, fixed_costs({1: 0.300})).books
    assert books.outcomes == {"answered": 1, LOST: 1}


def test_cameras_of_a_dead_node_find_another_by_the_clients_back_off() -> None:
    """Noticed after 1 s, tried again 0.5 to 1 s later; a full report lies between."""
    scene = Scene(
        cameras=10, fps=10, nodes=2, seconds=6, placement="least-loaded", lose=1, lose_at_s=2
    )
    outcome = simulate(scene, fixed_costs({1: 0.001}))
    after_s = back_after_s(outcome)
    assert after_s is not None
    assert 1.5 <= after_s <= 2.0 + 0.25
    assert outcome.streams == [10]
    # Five cameras, 1.5 to 2 s of 10 frames/s each.
    assert 5 * 15 <= outcome.books.outcomes[LOST] <= 5 * 20
    assert outcome.books.sums_agree


def test_a_zone_that_dies_is_every_third_node() -> None:
    scene = Scene(cameras=9, fps=10, nodes=9, seconds=4, zones=3, lose_zone=True, lose_at_s=1)
    outcome = simulate(scene, fixed_costs({1: 0.001}))
    assert len(outcome.streams) == 6
    assert next(count for at_s, count in outcome.nodes if at_s > 1) == 6


def test_a_full_fleet_refuses_and_says_so() -> None:
    """Two nodes of three streams: of eight cameras two have none, and all their frames fail."""
    scene = Scene(cameras=8, fps=10, nodes=2, seconds=1, streams=3, placement="least-loaded")
    books = simulate(scene, fixed_costs({1: 0.001})).books
    assert books.outcomes == {"answered": 60, LOST: 20}


def ramp(autoscale: Terms | None) -> Scene:
    """Twenty cameras of 5 frames/s come within 30 s; a node of 20 ms a frame does ten."""
    return Scene(
        cameras=20,
        fps=5,
        nodes=1,
        seconds=35,
        ramp_s=30,
        placement="least-loaded",
        autoscale=autoscale,
    )


def test_nodes_are_added_before_frames_grow_old() -> None:
    """Between two cameras pass 1.5 s, and a node is there 4 s after it was asked for."""
    terms = replace(FREE, target=0.6, every_s=2, start_s=2, calm_s=99)
    costs = fixed_costs({1: 0.020})
    bound_ms = 120
    alone, scaled = simulate(ramp(None), costs), simulate(ramp(terms), costs)
    assert seen_of(alone).p99_ms > bound_ms
    assert seen_of(scaled).p99_ms < bound_ms
    counts = [count for _, count in scaled.nodes]
    assert counts == sorted(counts)
    assert 3 <= counts[-1] <= 5  # 100 frames/s at 60 % of 50 are 3.3
    assert scaled.books.sums_agree


def test_by_age_nodes_are_added_when_frames_are_old_already() -> None:
    """One node for 14 cameras of which it does ten; a second one makes frames fresh again."""
    terms = replace(FREE, metric="age", target=0.060, every_s=2, start_s=2, calm_s=99)
    scene = replace(ramp(terms), cameras=14, ramp_s=0, move=True)
    outcome = simulate(scene, fixed_costs({1: 0.020}))
    assert outcome.nodes[-1][1] >= 2
    late = outcome.books.captured_s > 20
    assert np.percentile(outcome.books.ages_s[late], 99) < 0.060
    assert outcome.books.sums_agree


def test_nodes_that_are_not_needed_stop_and_their_cameras_move() -> None:
    """Five nodes for what a tenth of one does; each drains, and no frame is left behind."""
    terms = replace(FREE, target=0.5)
    scene = Scene(cameras=5, fps=2, nodes=5, seconds=12, autoscale=terms)
    outcome = simulate(scene, fixed_costs({1: 0.010}))
    assert outcome.nodes[-1][1] == 1
    assert outcome.streams == [5]
    assert outcome.books.sums_agree


def test_the_simulation_agrees_with_the_committed_overload() -> None:
    """Ten minutes of a real server here: 16 cameras of 30 frames/s, an engine of a fixed cost.

    What a lane takes between two frames follows from the capacity that was measured before them,
    and a frame's way there and back from the null engine's round trip; nothing is fitted to ages.
    """
    carry_s = result("fps_overhead")["p50_ms"]["stream_session"] / 1e3
    for run in result("overload")["runs"]:
        (cost_ms,) = (a.partition("=")[2] for a in run["server_arguments"] if "cost" in a)
        cost_s = float(cost_ms) / 1e3
        costs = replace(
            fixed_costs({1: cost_s}, carry_s=carry_s, overlap=True),
            pause_s=1 / run["capacity_fps"] - cost_s,
        )
        scene = Scene(cameras=16, fps=30, nodes=1, seconds=10, spread=False)
        each = seen_of(simulate(scene, costs))
        assert each.served_fps == pytest.approx(run["served_fps"], rel=0.15)
        assert each.p50_ms == pytest.approx(run["age_ms"]["p50_ms"], rel=0.15)
        assert each.p99_ms == pytest.approx(run["age_ms"]["p99_ms"], rel=0.15)


def result(name: str) -> dict[str, Any]:
    """A committed result's figures."""
    figures: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())["figures"]
    return figures
