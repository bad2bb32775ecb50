"""Which workers run: the first alone, then all, and whoever dies again; until told to end."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.crew import Crew

NOW_S = 100.0
KILLED = -signal.SIGKILL


def crew_of(workers: int) -> Crew:
    """All of them serve."""
    crew = Crew(workers)
    while due := crew.due(NOW_S):
        for worker in due:
            crew.ready(worker)
    return crew


def test_the_first_starts_alone_and_the_others_once_it_serves() -> None:
    crew = Crew(3)
    assert crew.due(NOW_S) == [0]
    assert crew.due(NOW_S) == []
    crew.ready(0)
    assert crew.due(NOW_S) == [1, 2]


def test_that_all_serve_is_told_once() -> None:
    crew = Crew(2)
    crew.due(NOW_S)
    assert not crew.ready(0)
    crew.due(NOW_S)
    assert crew.ready(1)
    crew.gone(1, KILLED)
    crew.due(NOW_S)
    assert not crew.ready(1)
    assert crew.ready_now == 2


@pytest.mark.parametrize(("exit_code", "whole"), [(1, 1), (2, 2), (KILLED, 1), (0, 1)])
def test_one_that_never_served_ends_the_start(exit_code: int, whole: int) -> None:
    crew = Crew(2)
    crew.due(NOW_S)
    crew.ready(0)
    assert crew.due(NOW_S) == [1]
    crew.gone(1, exit_code)
    assert crew.ending and not crew.over and crew.due(NOW_S) == []
    crew.gone(0, 0)  # as it is asked to
    assert crew.over and crew.exit_code == whole


def test_one_that_dies_is_started_again_at_once_and_then_ever_more_seldom() -> None:
    crew = crew_of(2)
    started_s = []
    for quarters in range(4 * 20):
        now_s = NOW_S + quarters / 4
        if quarters == 0:
            crew.gone(1, KILLED)
        if crew.due(now_s) == [1]:
            started_s.append(now_s - NOW_S)
            crew.gone(1, 1)  # though it served once, it cannot start now
    assert started_s == [0, 1, 3, 7, 15]
    assert not crew.ending and crew.serves(0)


def test_who_waits_for_another_attempt_is_looked_at() -> None:
    crew = crew_of(2)
    assert not crew.waits
    crew.gone(0, KILLED)
    assert crew.waits
    crew.due(NOW_S)
    assert not crew.waits


def test_told_to_end_it_starts_nobody_and_is_over_when_all_are_gone() -> None:
    crew = crew_of(2)
    crew.gone(1, KILLED)
    crew.end()
    assert not crew.waits and crew.due(NOW_S) == [] and not crew.over
    crew.gone(0, 0)
    assert crew.over and crew.exit_code == 0


def test_one_that_ends_badly_is_in_the_exit_code() -> None:
    crew = crew_of(2)
    crew.end()
    crew.gone(0, KILLED)
    crew.gone(1, 0)
    assert crew.exit_code == 1


def test_one_that_starts_again_may_be_ended_in_any_way() -> None:
    crew = crew_of(2)
    crew.gone(1, KILLED)
    assert crew.due(NOW_S) == [1]
    crew.end()
    crew.gone(1, -signal.SIGTERM)
    crew.gone(0, 0)
    assert crew.over and crew.exit_code == 0


def test_told_to_end_before_all_served_it_has_not_ended_well() -> None:
    crew = Crew(2)
    crew.due(NOW_S)
    crew.end()
    crew.gone(0, -signal.SIGTERM)
    assert crew.over and crew.exit_code == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 40)), max_size=60))
def test_nobody_runs_twice_and_everybody_comes_back(
    deaths: list[tuple[int, bool, float]],
) -> None:
    crew, now_s, running = crew_of(4), NOW_S, {0, 1, 2, 3}
    for worker, gets_ready, after_s in deaths:
        now_s += after_s
        if worker in running:
            crew.gone(worker, KILLED)
            running.discard(worker)
        for started in crew.due(now_s):
            assert started not in running
            running.add(started)
            if gets_ready:
                crew.ready(started)
    running |= set(crew.due(now_s + 100))
    assert running == {0, 1, 2, 3} and not crew.waits
