"""Simulated time: calls in order, none early, and every one made."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fleet.timeline import Timeline


@given(st.lists(st.integers(0, 5)))
def test_calls_are_made_in_time_and_those_of_one_time_as_they_were_told(times: list[int]) -> None:
    timeline = Timeline()
    made: list[tuple[float, int]] = []
    for number, at_s in enumerate(times):
        timeline.at(at_s, lambda number: made.append((timeline.now_s, number)), number)
    timeline.run()
    assert made == sorted((at_s, number) for number, at_s in enumerate(times))


def test_a_call_may_ask_for_another() -> None:
    timeline = Timeline()
    made: list[float] = []
    timeline.at(1, lambda: timeline.at(3, lambda: made.append(timeline.now_s)))
    timeline.run()
    assert made == [3]


def test_what_is_done_again_and_again_ends() -> None:
    timeline = Timeline()
    made: list[float] = []
    timeline.every(0.5, 2, lambda: made.append(timeline.now_s))
    timeline.run()
    assert made == [0.5, 1, 1.5]
