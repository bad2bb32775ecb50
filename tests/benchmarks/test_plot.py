"""Charts: ticks and envelopes by hand; and lines land where their values say."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plot import ORANGE, Chart, Line, draw, envelope, grid, highest, ticks, write_png
from fathom.geometry import RGB


def chart(y: float, *, y_top: float = 0.0) -> Chart:
    """One level orange line at `y`, from 0 to 10."""
    line = Line(x=np.array([0.0, 10.0]), y=np.array([y, y]), colour=ORANGE, width_px=3)
    return Chart(title="", x_label="", y_label="", lines=[line], y_top=y_top, size_px=(300, 400))


def row_of(picture: RGB) -> float:
    """The middle of the rows with pure orange."""
    rows = np.flatnonzero((picture == ORANGE).all(axis=-1).any(axis=1))
    return float(rows.mean())


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (600, [0, 100, 200, 300, 400, 500, 600]),
        (61, [0, 20, 40, 60, 80]),
        (3, [0, 0.5, 1, 1.5, 2, 2.5, 3]),
        (0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_by_hand(most: float, expected: list[float]) -> None:
    assert ticks(most) == pytest.approx(expected)


@given(st.floats(1e-6, 1e9))
def test_ticks_end_at_or_past_the_largest_and_are_few(most: float) -> None:
    steps = ticks(most)
    assert steps[0] == 0
    assert steps[-1] >= most * (1 - 1e-6)
    assert steps[-2] < most
    assert 3 <= len(steps) <= 7


def test_an_envelope_keeps_peaks_and_shows_gaps() -> None:
    x = np.array([0.1, 0.9, 2.0, 2.5, 3.0, -1.0])
    y = np.array([5.0, 9.0, 1.0, 2.0, 99.0, 99.0])
    np.testing.assert_array_equal(envelope(x, y, np.array([0.0, 1, 2, 3])), [9, np.nan, 2])


def test_the_highest_leaves_out_what_is_no_number() -> None:
    assert highest([np.array([np.nan, 3.0]), np.array([np.nan])]) == 3
    assert highest([]) == 0


def test_a_line_lies_where_its_value_says() -> None:
    """Frame of 300 - 58 - 56 rows over 0 to 4: one unit is a quarter of them."""
    one, three = row_of(draw(chart(1, y_top=4))), row_of(draw(chart(3, y_top=4)))
    assert one - three == pytest.approx((300 - 58 - 56) / 2, abs=1)
    assert one == pytest.approx(300 - 56 - (300 - 58 - 56) / 4, abs=1)


def test_a_gap_breaks_a_line() -> None:
    """Points to the left and right of a NaN are not joined."""
    line = Line(
        x=np.arange(5.0), y=np.array([1, 1, np.nan, 1, 1]), colour=ORANGE, width_px=3, name="a"
    )
    picture = draw(Chart(title="t", x_label="x", y_label="y", lines=[line], y_top=2))
    frame = picture[100:, 74:-22]  # below the legend
    columns = np.flatnonzero((frame == ORANGE).all(axis=-1).any(axis=0))
    gap = np.diff(columns).max()
    assert gap == pytest.approx(frame.shape[1] / 2, abs=8)


def test_charts_without_points_are_drawn_empty() -> None:
    empty = Chart(title="t", x_label="x", y_label="y", lines=[])
    nothing = Line(x=np.arange(3.0), y=np.full(3, np.nan))
    assert draw(empty).shape == (380, 620, 3)
    assert draw(Chart(title="t", x_label="x", y_label="y", lines=[nothing])).shape == (380, 620, 3)


def test_a_grid_fills_its_last_row_with_background() -> None:
    picture = grid([chart(1), chart(1), chart(1)])
    assert picture.shape == (600, 800, 3)
    assert len(np.unique(picture[300:, 400:].reshape(-1, 3), axis=0)) == 1
    assert grid([chart(1)]).shape == (300, 400, 3)


def test_a_picture_is_read_back_as_drawn(tmp_path: Path) -> None:
    picture = draw(chart(1))
    write_png(tmp_path / "new" / "chart.png", picture)
    back = cv2.imread(str(tmp_path / "new" / "chart.png"), cv2.IMREAD_COLOR_RGB)
    assert back is not None
    np.testing.assert_array_equal(back, picture)
