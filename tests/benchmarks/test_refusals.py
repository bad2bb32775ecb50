"""What times of refusals come to, by hand, and a few refusals for real."""

import json
from pathlib import Path

import pytest

from benchmarks import refusals


def test_medians_closer_than_the_middle_half_of_one_kind_are_noise() -> None:
    """1 to 5 ms has its middle half from 2 to 4 ms."""
    times_s = [n / 1e3 for n in range(1, 6)]
    found = refusals.figures({"missing": times_s, "wrong": [t + 0.001 for t in times_s]})
    assert found["median_ms"] == {"missing": 3.0, "wrong": 4.0}
    assert (found["apart_ms"], found["middle_half_ms"]) == (1.0, 2.0)
    assert found["within_noise"]


def test_a_token_that_takes_longer_than_none_is_found() -> None:
    found = refusals.figures({"missing": [0.0009, 0.001], "wrong": [0.0013, 0.0014]})
    assert not found["within_noise"]


def test_requests_are_as_long_with_a_token_as_without() -> None:
    assert len({(len(name), len(value)) for name, value in refusals.KINDS.values()}) == 1


@pytest.mark.slow
def test_every_door_refuses_and_is_timed(tmp_path: Path) -> None:
    out = tmp_path / "refusals.json"
    refusals.main(["--rounds=3", f"--json={out}"])
    doors = json.loads(out.read_text("utf-8"))["figures"]["doors"]
    assert set(doors) == {"http", "websocket", "grpc"}
    assert all(set(said["median_ms"]) == set(refusals.KINDS) for said in doors.values())
