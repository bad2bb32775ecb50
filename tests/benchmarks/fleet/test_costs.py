"""Costs as they were measured: spreads by hand, and files read back."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fleet.costs import Spread, fixed_costs, read_costs, to_json

ROOT = Path(__file__).parents[3]


def test_a_spread_is_drawn_as_it_was_measured() -> None:
    """Half the samples are 1, the others spread from 2 to 4."""
    samples = [1.0] * 500 + np.linspace(2, 4, 500).tolist()
    spread = Spread.of(samples)
    drawn = list(itertools.islice(spread.draws(np.random.default_rng(0)), 20_000))
    assert np.percentile(drawn, [25, 75, 99]) == pytest.approx([1, 3, 3.96], abs=0.03)
    assert spread.mean == pytest.approx(2, abs=0.02)
    assert np.mean(drawn) == pytest.approx(2, abs=0.03)


def test_of_percentiles_nothing_faster_than_the_median_is_known() -> None:
    """0.5 x 2 + 0.45 x 3 + 0.04 x 5 + 0.01 x 6."""
    spread = Spread.of_percentiles(2, 4, 6)
    assert (spread.mean, spread.median) == pytest.approx((2.61, 2))
    drawn = list(itertools.islice(spread.draws(np.random.default_rng(0)), 20_000))
    assert (min(drawn), max(drawn)) == (2, 6)
    assert np.percentile(drawn, 95) == pytest.approx(4, abs=0.1)


def test_capacity_of_a_lane_that_does_one_thing_after_the_other() -> None:
    """10 + 2 + 3 ms and a pause of 5: 50 frames/s; two lanes do twice as many."""
    costs = replace(
        fixed_costs({1: 0.010}),
        decode=Spread.fixed(0.002),
        finish=Spread.fixed(0.003),
        pause_s=5e-3,
    )
    assert costs.capacity_fps == pytest.approx(50)
    assert replace(costs, lanes=2).capacity_fps == pytest.approx(100)


def test_capacity_of_a_lane_that_overlaps_is_its_slowest_step_and_its_best_batch() -> None:
    """Alone 20 ms; four in 40 ms are 100 frames/s, unless finishing four takes 60 ms."""
    costs = fixed_costs({1: 0.020, 4: 0.040}, overlap=True)
    assert costs.capacity_fps == pytest.approx(100)
    slow = replace(costs, finish=Spread.fixed(0.015))
    assert slow.capacity_fps == pytest.approx(4 / 0.060)


def test_costs_come_back_from_their_file(tmp_path: Path) -> None:
    costs = replace(
        fixed_costs({1: 0.01, 8: 0.02}, carry_s=0.003, lanes=2, overlap=True),
        infer=Spread.of([1.0, 1.1, 1.5]),
        pause_s=0.0002,
    )
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"figures": to_json(costs), "machine": "a machine"}))
    assert read_costs(path) == costs


def test_the_committed_speed_is_a_node() -> None:
    """Its capacity is what the path did in the server, and a lone frame takes what its trip did."""
    path = ROOT / "benchmarks" / "results" / "fps.json"
    figures = json.loads(path.read_text())["figures"]
    costs = read_costs(path)
    assert costs.capacity_fps == pytest.approx(figures["in_server"]["fps"], rel=0.15)
    trip_s = costs.curve.cost_s(1) + costs.carry.values[0]
    assert trip_s == pytest.approx(figures["closed_loop_1"]["p50_ms"] / 1e3)
    assert "openvino" in costs.source
