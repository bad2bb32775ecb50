"""A sender's pace: cameras never meet it, a flood does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.pace import Pace


def test_a_fast_camera_is_never_held() -> None:
    pace = Pace()
    assert all(pace.wait_s(k / 400) == 0 for k in range(2000))


def test_a_flood_is_read_at_500_frames_a_second_after_a_burst() -> None:
    pace = Pace()
    waits_s = [pace.wait_s(7.0) for _ in range(350)]
    assert waits_s[:100] == [0.0] * 100
    assert waits_s[-1] == pytest.approx(250 / 500)


@given(st.lists(st.floats(0, 0.01), max_size=300))
def test_whatever_comes_no_more_is_read_than_the_burst_and_the_rate(gaps_s: list[float]) -> None:
    pace, now_s = Pace(), 0.0
    for read, gap_s in enumerate(gaps_s):
        now_s += gap_s
        now_s += pace.wait_s(now_s)
        assert read + 1 <= 101 + 500 * now_s
