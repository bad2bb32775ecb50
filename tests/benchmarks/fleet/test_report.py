"""A scene's figures by hand: what counts, percentiles by slice, how long it took to come back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fleet.autoscaler import Terms
from benchmarks.fleet.books import LOST, Books
from benchmarks.fleet.costs import fixed_costs
from benchmarks.fleet.fleet import Outcome, Scene, simulate
from benchmarks.fleet.report import back_after_s, charts, figures, percentile, seen, table

SCENE = Scene(cameras=2, fps=10, nodes=2, seconds=2, lose=1, lose_at_s=1)


def outcome() -> Outcome:
    books = Books(2)
    for camera in (0, 0, 1):
        books.sent(camera)
    books.settle(0, "answered", 0.5, 0.030)
    books.settle(1, "answered", 0.6, 0.050)
    books.settle_all(0, LOST, 1)
    return Outcome(
        scene=SCENE,
        books=books,
        streams=[2],
        busy=[0.25],
        connected=[(0.0, 2), (0.5, 2), (1.0, 1), (1.5, 1), (1.75, 2)],
        nodes=[(0.0, 2), (1.0, 1)],
    )


def test_what_comes_after_cameras_stopped_does_not_count() -> None:
    """Of four answers the last came at 2.1 s: 3 of 10 frames in 2 s."""
    captured_s, ages_s = np.array([0.0, 0.5, 1.0, 1.9]), np.array([0.1, 0.2, 0.3, 0.2])
    each = seen(captured_s, ages_s, frames=10, seconds=2)
    assert (each.answered, each.served_fps, each.served_share) == (3, 1.5, 0.3)
    assert (each.p50_ms, each.worst_ms) == pytest.approx((200, 300))


def test_without_an_answer_no_age_is_good_enough() -> None:
    each = seen(np.array([]), np.array([]), frames=10, seconds=2)
    assert each.p99_ms == float("inf")
    assert each.served_share == 0


def test_figures_by_hand() -> None:
    kept = figures(outcome(), cpu_s=1.25)
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert kept["frames"] == 3
    assert kept["outcomes"] == {"answered": 2, LOST: 1}
    assert kept["sums_agree"] is True
    assert (kept["served_fps"], kept["age_p50_ms"]) == (1, 40)
    assert kept["camera_fps"] == {"least": 0.5, "median": 0.5, "most": 0.5}
    assert kept["all_connected_again_after_s"] == 0.75


def test_a_scene_in_which_nothing_was_answered_is_json_too() -> None:
    nothing = replace(outcome(), books=Books(2), streams=[], busy=[])
    kept = figures(nothing, cpu_s=0)
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert kept["age_p99_ms"] is None


def test_a_frame_without_outcome_is_told() -> None:
    broken = outcome()
    broken.books.sent(1)
    assert not broken.books.sums_agree
    assert "DO NOT SUM" in table([(broken, figures(broken, 0))])
    assert "DO NOT SUM" not in table([(outcome(), figures(outcome(), 0))])


def test_two_frames_too_many_and_too_few_do_not_cancel() -> None:
    books = Books(2)
    books.sent(0)
    books.settle_all(1, LOST, 1)
    assert not books.sums_agree


def test_coming_back_counts_from_the_loss() -> None:
    assert back_after_s(outcome()) == 0.75
    assert back_after_s(replace(outcome(), connected=[(0.0, 2), (1.0, 1)])) is None
    assert back_after_s(replace(outcome(), scene=replace(SCENE, lose=0))) is None


def test_percentiles_of_slices_by_hand() -> None:
    x, y = np.array([2.5, 0.1, 0.2, 0.3]), np.array([7.0, 1.0, 3.0, 2.0])
    np.testing.assert_array_equal(percentile(x, y, np.array([0.0, 1, 2, 3]), 50), [2, np.nan, 7])


def test_charts_have_a_line_for_each_placement() -> None:
    scenes = [replace(SCENE, placement=name) for name in ("random", "two-choices")]
    costs = fixed_costs({1: 0.01})
    drawn = charts([simulate(scene, costs) for scene in scenes])
    assert [[line.name for line in chart.lines] for chart in drawn] == [
        ["random", "two-choices"]
    ] * 4
    scaled = replace(SCENE, autoscale=Terms())
    assert charts([simulate(scaled, costs)])[-1].title == "Nodes"
