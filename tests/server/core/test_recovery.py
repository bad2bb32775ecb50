"""An engine that fails is opened again: at once, then ever more seldom, and never in a rush."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.core.recovery import Recovery


def attempts(recovery: Recovery, until_s: float, since_s: float = 0.0) -> list[float]:
    """When it is tried, asked four times a second."""
    times = [since_s + k / 4 for k in range(int(4 * (until_s - since_s)))]
    return [now_s for now_s in times if recovery.due(now_s)]


def test_the_first_attempt_is_at_once_and_each_rest_is_twice_the_last() -> None:
    assert attempts(Recovery(), 100.0) == [0, 1, 3, 7, 15, 31, 61, 91]


def test_an_engine_that_stayed_well_for_a_minute_is_tried_at_once_again() -> None:
    recovery = Recovery()
    assert attempts(recovery, 8.0) == [0, 1, 3, 7]  # and the next would be after 8 s
    assert attempts(recovery, 80.0, since_s=75.0) == [75, 76, 78]


def test_one_that_fails_again_soon_goes_on_resting() -> None:
    recovery = Recovery()
    assert attempts(recovery, 8.0) == [0, 1, 3, 7]
    assert attempts(recovery, 48.0, since_s=40.0) == [40]


@given(st.lists(st.floats(0.01, 50), min_size=1, max_size=50))
def test_two_attempts_are_never_closer_than_a_second(steps_s: list[float]) -> None:
    recovery, now_s, tried = Recovery(), 0.0, []
    for step_s in steps_s:
        now_s += step_s
        if recovery.due(now_s):
            tried.append(now_s)
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(tried))
