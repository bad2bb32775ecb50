"""When frames are due, and what the books of many cameras come to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rivals.books import Books, Figures
from benchmarks.tallies import Schedule, schedules


@given(
    fps=st.floats(0.1, 1000),
    frames=st.integers(1, 10_000),
    offset_s=st.floats(0, 1),
    data=st.data(),
)
def test_the_newest_frame_is_the_last_that_is_due(
    fps: float, frames: int, offset_s: float, data: st.DataObject
) -> None:
    schedule = Schedule(fps, frames, offset_s)
    k = data.draw(st.integers(0, frames - 1))
    assert schedule.newest(schedule.due_s(k)) == k
    assert schedule.newest(schedule.due_s(k) - 0.5 / fps) == k - 1
    assert schedule.newest(math.nextafter(schedule.due_s(frames), math.inf)) == frames - 1


def test_cameras_are_spread_over_one_frames_time() -> None:
    spread = schedules(cameras=4, fps=10, seconds=2)
    assert [s.due_s(0) for s in spread] == pytest.approx([0, 0.025, 0.05, 0.075])
    assert {s.frames for s in spread} == {20}


def test_the_rate_counts_what_came_in_time_and_ages_count_all() -> None:
    books = Books(Schedule(10, 20), sent=20)
    for k in range(10):
        books.answer(due_s=k / 10, received_s=k / 5 + 0.25)  # the tenth after 2.05 s
    idle = Books(Schedule(10, 20))
    figures = Figures.of([books, idle], seconds=2.0)
    assert figures.fps == 4.5
    assert figures.slowest_fps == 0
    assert figures.age_p50_ms == pytest.approx(700)
    assert (figures.due, figures.held_back, figures.sent) == (40, 20, 20)
    assert (figures.answered, figures.unanswered) == (10, 10)


def test_without_an_answer_there_is_no_age() -> None:
    figures = Figures.of([Books(Schedule(10, 20), sent=20)], seconds=2.0)
    assert figures.fps == 0
    assert math.isnan(figures.age_p99_ms)
