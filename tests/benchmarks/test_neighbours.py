"""What a bad neighbour costs, by hand, and one short round for real."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import neighbours
from benchmarks.neighbours import ALONE, BUSY, FLOODED, FROZEN, PHASES
from benchmarks.tallies import Camera


def camera(*ages_ms: float) -> Camera:
    ages_s = np.array(ages_ms, np.float32) / 1e3
    answered = {"answered": len(ages_ms)}
    return Camera(
        sent=len(ages_ms),
        outcomes=answered,
        closing=answered,
        late_s=ages_s,
        due_s=ages_s,
        ages_s=ages_s,
    )


def test_every_phase_has_every_place_as_often() -> None:
    rounds = [neighbours.in_turn(number) for number in range(8)]
    for place in range(4):
        assert Counter(one[place] for one in rounds) == dict.fromkeys(PHASES, 2)


def test_ratios_are_of_ages_over_all_rounds_and_each_is_held_against_its_like() -> None:
    """p99 of 20 ms alone, 30 beside a busy client, 21 beside the frozen reader, 31.5 in a flood."""
    found = {
        ALONE: [camera(20, 20), camera(20, 20)],
        BUSY: [camera(30, 30), camera(30, 30)],
        FROZEN: [camera(21, 21), camera(21, 21)],
        FLOODED: [camera(31.5, 31.5), camera(31.5, 31.5)],
    }
    said = neighbours.figures(found)
    assert said["p99"] == {
        f"{FROZEN} over {ALONE}": 1.05,
        f"{FROZEN} over {BUSY}": 0.7,
        f"{FLOODED} over {ALONE}": 1.575,
        f"{FLOODED} over {BUSY}": 1.05,
    }
    assert said["within_bound"]
    assert not neighbours.figures(found | {FROZEN: found[BUSY]})["within_bound"]


@pytest.mark.slow
def test_a_short_round_has_all_phases(tmp_path: Path) -> None:
    out = tmp_path / "neighbours.json"
    neighbours.main(["--seconds=1", "--rounds=1", f"--json={out}"])
    phases = json.loads(out.read_text("utf-8"))["figures"]["phases"]
    assert set(phases) == set(PHASES)
    for said in phases.values():
        assert said["sent"] == 15 and said["answered"] > 0
