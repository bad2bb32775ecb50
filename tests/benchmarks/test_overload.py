"""Overload's arithmetic by hand: schedules, tallies, fairness, memory's slope. No server runs."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.generator import picture_size
from benchmarks.overload import plans
from benchmarks.overload_report import Measured, ages, chart, figures, table
from benchmarks.tallies import Run, Schedule, Tally, read_run, schedules, write_run
from benchmarks.watch import frames_by_outcome, growth_mib, slope_mib, thinned

PAGE = """\
# HELP fathom_frames_total frames by outcome; the sum is the frames received
# TYPE fathom_frames_total counter
fathom_frames_total{model="desk",outcome="answered",reason=""} 7.0
fathom_frames_total{model="desk",outcome="skipped",reason="superseded"} 4.0
fathom_frames_total{model="room",outcome="answered",reason=""} 2.0
fathom_frames_total{model="room",outcome="failed",reason="bad_image"} 1.0
fathom_frames_created{model="room",outcome="failed",reason="bad_image"} 1.7e+09
fathom_frames_received_total{model="desk"} 11.0
"""


def camera(answers: list[tuple[float, float]], *, skipped: int = 0) -> Tally:
    """A camera with answers as (due, age) and so many superseded frames."""
    tally = Tally(sent=len(answers) + skipped)
    for due_s, age_s in answers:
        tally.answered(due_s, age_s)
        tally.late_s.append(0.001)
    tally.outcomes.update(answered=len(answers))
    if skipped:
        tally.outcomes.update(skipped_superseded=skipped)
    tally.closing = dict(tally.outcomes)
    return tally


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two cameras of 10 s: one got 3 of 4 frames, the other 2 of 4, one of them late."""
    tallies = [
        camera([(0.0, 0.010), (2.5, 0.020), (5.0, 0.030)], skipped=1),
        camera([(1.25, 0.040), (8.75, 1.5)], skipped=2),
    ]
    write_run(tmp_path / "run.npz", seconds=10, cpu_s=2.5, tallies=tallies)
    return read_run(tmp_path / "run.npz")


def measured(run: Run) -> Measured:
    return Measured(
        capacity_fps=0.5,
        fps=0.4,
        picture="a picture",
        run=run,
        metrics={"answered": 5, "skipped_superseded": 3},
        memory=[(0.0, 100.0), (5.0, 110.0), (10.0, 111.0)],
        server_cpu_s=7.5,
        load_averages=(0.1, 1.9),
    )


def test_frames_are_due_by_the_clock_and_cameras_take_turns() -> None:
    """Two cameras of 4 frames/s: every 250 ms each, 125 ms apart."""
    first, second = schedules(cameras=2, fps=4, seconds=1)
    assert [first.due_s(k) for k in range(first.frames)] == [0, 0.25, 0.5, 0.75]
    assert [second.due_s(k) for k in range(second.frames)] == [0.125, 0.375, 0.625, 0.875]


def test_a_schedule_does_not_drift() -> None:
    """Ten minutes of 30 frames/s end where they should, not a rounding error per frame later."""
    (plan,) = schedules(cameras=1, fps=30, seconds=600)
    assert plan.frames == 18000
    assert plan.due_s(plan.frames - 1) == pytest.approx(600 - 1 / 30, abs=1e-9)
    assert Schedule(30, 18000, 0.5).due_s(0) == 0.5


def test_a_camera_that_quickens_sends_what_its_rate_adds_up_to() -> None:
    """From 10 frames/s to 20 within 5 s: 75 frames, the 24th after 10 * 2 + 2 * 2**2 / 2."""
    (plan,) = schedules(cameras=1, fps=10, seconds=5, fps_per_s=2)
    assert plan.frames == 75
    assert plan.due_s(24) == pytest.approx(2, abs=1e-12)
    assert plan.due_s(75) == pytest.approx(5, abs=1e-12)


def test_a_run_comes_back_from_its_file_as_it_was(run: Run) -> None:
    assert (run.seconds, run.cpu_s, run.sent) == (10, 2.5, 8)
    assert run.outcomes == run.closing == {"answered": 5, "skipped_superseded": 3}
    np.testing.assert_array_equal(run.cameras[0].due_s, np.array([0, 2.5, 5], np.float32))
    np.testing.assert_array_equal(run.cameras[1].ages_s, np.array([0.04, 1.5], np.float32))


def test_fairness_is_most_by_fewest(run: Run, tmp_path: Path) -> None:
    assert run.max_over_min == 3 / 2
    write_run(
        tmp_path / "starved.npz", seconds=1, cpu_s=0, tallies=[camera([(0, 0.1)]), camera([])]
    )
    assert read_run(tmp_path / "starved.npz").max_over_min == float("inf")


def test_capacity_counts_answers_that_came_within_the_time(run: Run) -> None:
    """They came at 0.01, 1.29, 2.52, 5.03 and 10.25 s; the last is past the ten seconds."""
    assert run.answered_after(0) == 4
    assert run.answered_after(2) == 2


def test_figures_by_hand(run: Run) -> None:
    result = figures(measured(run))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["load"] == 1.6  # two cameras of 0.4 frames/s each, of 0.5
    assert result["served_fps"] == 0.5
    assert result["served_share_of_capacity"] == 1
    assert result["max_over_min_served"] == 1.5
    assert (result["server_cores"], result["generator_cores"]) == (0.75, 0.25)
    assert result["sums_agree"] is True
    everyone = ages(measured(run).ages_s)
    assert everyone is not None
    assert (everyone["p50_ms"], everyone["max_ms"]) == (30, 1500)


def test_sums_that_differ_anywhere_are_told(run: Run, tmp_path: Path) -> None:
    whole = measured(run)
    assert whole.sums_agree
    lost = camera([(0, 0.1)])
    lost.sent += 1
    unclosed = camera([(0, 0.1)])
    unclosed.closing = {}
    for tally in (lost, unclosed):
        write_run(tmp_path / "bad.npz", seconds=10, cpu_s=0, tallies=[tally])
        bad = measured(read_run(tmp_path / "bad.npz"))
        assert not bad.sums_agree
        assert "DO NOT SUM" in table(bad)


def test_the_table_has_a_row_for_each_camera_and_one_for_all(run: Run) -> None:
    lines = table(measured(run)).splitlines()
    assert [line.split()[:4] for line in lines if line.split() and line.split()[0].isdigit()] == [
        ["0", "4", "3", "1"],
        ["1", "4", "2", "2"],
    ]
    assert any(line.split()[:4] == ["all", "8", "5", "3"] for line in lines)


def test_the_chart_shows_the_worst_age_of_each_slice(run: Run) -> None:
    """Ten slices of one second; camera 1's frame that was due at 8.75 s is 1500 ms old."""
    lines = chart(measured(run)).lines
    assert np.flatnonzero(~np.isnan(lines[0].y)).tolist() == [0, 2, 5]
    assert lines[1].y[8] == pytest.approx(1500)
    assert lines[1].x[8] == 8.5


def test_slope_of_memory_by_hand() -> None:
    """1 MiB in 60 s is 10 in ten minutes; what came before it settled does not count."""
    samples = [(0.0, 1.0), (30.0, 50.0), (60.0, 100.0), (90.0, 100.5), (120.0, 101.0)]
    assert slope_mib(samples, 60) == pytest.approx(10)
    assert growth_mib(samples, 60) == 1


def test_slope_is_of_least_squares() -> None:
    """(0,0) (1,0) (2,3): the best line rises 1.5 a second, 900 in ten minutes."""
    assert slope_mib([(0, 0), (1, 0), (2, 3)], 0) == pytest.approx(900)


def test_growth_is_the_most_that_was_held() -> None:
    """A peak that was given back is growth all the same; a fall is none."""
    assert growth_mib([(60, 100), (61, 107), (62, 101)], 60) == 7
    assert growth_mib([(60, 100), (61, 90)], 60) == 0
    assert growth_mib([(1, 100)], 60) == slope_mib([(1, 100)], 60) == 0


def test_thinning_keeps_both_ends() -> None:
    samples = [(float(i), 0.0) for i in range(601)]
    few = thinned(samples, 121)
    assert (len(few), few[0][0], few[-1][0]) == (121, 0, 600)
    assert thinned(samples[:5], 121) == samples[:5]


def test_frames_of_a_metrics_page_by_outcome() -> None:
    assert frames_by_outcome(PAGE) == {
        "answered": 9,
        "skipped_superseded": 4,
        "failed_bad_image": 1,
    }


def test_picture_sizes_are_width_first() -> None:
    assert picture_size("640x480") == (480, 640)


def asked(*, load: str, fps: float | None) -> argparse.Namespace:
    return argparse.Namespace(cameras=16, load=load, fps=fps)


@pytest.mark.parametrize("engine", [["--engine=null"], ["--engine", "null"]])
def test_a_load_of_given_cameras_sets_the_null_engines_cost(engine: list[str]) -> None:
    """480 frames/s come every 2.0833 ms: an engine of twice that does half of them."""
    assert plans(asked(load="2,4", fps=30), engine) == [
        (2, ["--null-cost-ms=4.1667"]),
        (4, ["--null-cost-ms=8.3333"]),
    ]


@pytest.mark.parametrize("server", [[], ["--lanes=2"], ["--engine=null", "--null-cost-ms=30"]])
def test_given_cameras_run_once_where_the_cost_is_not_ours_to_set(server: list[str]) -> None:
    assert plans(asked(load="2,4", fps=30), server) == [(2, [])]


def test_loads_alone_leave_the_server_as_it_is() -> None:
    assert plans(asked(load="0.5,1", fps=None), ["--engine=null"]) == [(0.5, []), (1, [])]
