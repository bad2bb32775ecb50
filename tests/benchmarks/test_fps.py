"""Comparisons in turns, by hand: medians, ratios, and whose settings go where. No server runs."""

import itertools
import threading

import pytest

from benchmarks import against, overhead
from benchmarks.in_process import saturate


def test_the_server_is_held_against_the_better_arrangement() -> None:
    """Medians 90 against 100 and 60; the round of 120 is an outlier that no mean would forgive."""
    result = against.compared(
        {
            "server": [90, 95, 80],
            "lean": [88, 88, 10],
            "session": [85, 85, 85],
            "bare": [97, 97, 200],
            "in_process_1_lane_2_threads": [100, 100, 120],
            "in_process_2_lanes_1_thread": [60, 60, 130],
        }
    )
    assert result["best_in_process"] == "in_process_1_lane_2_threads"
    ratios = [result[name] for name in ("ratio", "ratio_lean", "ratio_session", "ratio_bare")]
    assert ratios == [0.9, 0.88, 0.85, 0.97]
    assert result["ratio_of_rounds"] == [0.9, 0.95, 0.667]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lanes", "2", "--engine=null", "--threads=1"],
        ["--lanes=4", "--engine=null"],
        ["--engine=null", "--threads", "2"],
        ["--engine=null"],
    ],
)
def test_the_arrangement_sets_lanes_and_threads_itself(arguments: list[str]) -> None:
    assert against.without_lanes(arguments) == ["--engine=null"]


def test_each_exchange_is_held_against_the_echo_of_its_kind() -> None:
    result = overhead.compared(
        {
            "stream_session": [1.0, 0.8, 5.0],
            "stream_echo": [0.5, 0.5, 0.5],
            "unary_lean": [3.0],
            "unary_echo": [2.0],
        }
    )
    assert result["p50_ms"] == {
        "stream_session": 1.0,
        "stream_echo": 0.5,
        "unary_lean": 3.0,
        "unary_echo": 2.0,
    }
    assert result["ratio_to_echo"] == {
        "stream_session": 2.0,
        "stream_echo": 1.0,
        "unary_lean": 1.5,
        "unary_echo": 1.0,
    }


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_saturating_makes_every_call_once_and_each_kind_in_its_own_thread(threads: int) -> None:
    made: list[tuple[int, int]] = []
    numbers = itertools.count()

    def call(kind: int) -> int:
        made.append((kind, threading.get_ident()))
        return next(numbers)

    calls = [lambda kind=kind: call(kind) for kind in range(threads)]
    assert saturate(calls, 20) > 0
    assert len(made) == 20
    assert len(set(made)) == len({kind for kind, _ in made})
