"""Lines over axes, drawn with OpenCV: enough for a benchmark's picture. Knows no benchmark."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.geometry import RGB

F64: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]
# The plot's frame in pixels: left, top, right, bottom.
_Box: TypeAlias = tuple[int, int, int, int]

BLUE: Colour = (31, 102, 178)
ORANGE: Colour = (214, 102, 20)
GREY: Colour = (150, 150, 150)
_BACKGROUND: Colour = (252, 252, 250)
_GRID: Colour = (226, 226, 222)
_INK: Colour = (45, 45, 45)
_MARGINS: _Box = (74, 58, 22, 56)
_FONT_PX, _TITLE_PX = 15, 17
_PARTS_OF_PIXEL = 4  # cv2's `shift`: lines start and end at sixteenths of a pixel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """Points from left to right; a NaN breaks the line. Without a name it is not in the legend."""

    x: F64
    y: F64
    colour: Colour = BLUE
    name: str = ""
    width_px: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One pair of axes, from zero to a round number above all that is drawn.

    y_top  where the y axis ends at least, so that charts side by side can be compared
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    y_top: float = 0.0
    size_px: tuple[int, int] = field(default=(380, 620))


def draw(chart: Chart) -> RGB:
    """The chart as a picture."""
    height, width = chart.size_px
    picture = np.full((height, width, 3), _BACKGROUND, np.uint8)
    left, top, right, bottom = _MARGINS
    box = (left, top, width - right, height - bottom)
    x_ticks = ticks(highest(line.x for line in chart.lines))
    y_ticks = ticks(max(chart.y_top, highest(line.y for line in chart.lines)))
    _axes(picture, box, chart, x_ticks, y_ticks)
    for line in chart.lines:
        _line(picture, box, line, x_ticks[-1], y_ticks[-1])
    _legend(picture, box, [line for line in chart.lines if line.name])
    return picture


def grid(charts: Sequence[Chart], columns: int = 2) -> RGB:
    """Charts of one size side by side and below each other."""
    pictures = [draw(chart) for chart in charts]
    columns = min(columns, len(pictures))
    blank = np.full_like(pictures[0], _BACKGROUND)
    pictures += [blank] * (-len(pictures) % columns)
    rows = [
        np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)
    ]
    return np.concatenate(rows)


def write_png(path: Path, picture: RGB) -> None:
    """Write it, smaller than OpenCV would by itself."""
    options = (cv2.IMWRITE_PNG_COMPRESSION, 9)
    png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png.tobytes())


def ticks(most: float, count: int = 6) -> list[float]:
    """Zero and round steps (1, 2 or 5 times a power of ten) up to the first at or past `most`."""
    most = most if most > 0 else 1.0
    power = 10.0 ** math.floor(math.log10(most / count))
    step = next(s * power for s in (1, 2, 5, 10) if s * power * count >= most * (1 - 1e-9))
    return [i * step for i in range(math.ceil(most / step - 1e-9) + 1)]


def highest(all_values: Iterable[F64]) -> float:
    """The largest of all values that are numbers; 0 without any."""
    return max((float(np.fmax.reduce(values, initial=0.0)) for values in all_values), default=0.0)


def envelope(x: F64, y: F64, edges: F64) -> F64:
    """The largest y in each [edges[i], edges[i + 1]); NaN where there is none.

    Thins many points to few and hides no peak, as a mean would.
    """
    largest = np.full(len(edges) - 1, np.nan)
    index = np.searchsorted(edges, x, side="right") - 1
    inside = (index >= 0) & (index < len(largest))
    np.fmax.at(largest, index[inside], y[inside])
    return largest


def shades(count: int) -> list[Colour]:
    """So many colours that are told apart, in a scale from dark blue to yellow."""
    levels = np.linspace(0, 230, count).round().astype(np.uint8)[:, None]
    scale = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    return [(int(r), int(g), int(b)) for r, g, b in scale]


def _axes(
    picture: RGB, box: _Box, chart: Chart, x_ticks: list[float], y_ticks: list[float]
) -> None:
    left, top, right, bottom = box
    for value in y_ticks:
        y = round(bottom - value / y_ticks[-1] * (bottom - top))
        cv2.line(picture, (left, y), (right, y), _GRID, 1)
        _text(picture, f"{value:g}", (left - 8, y + 5), align=1)
    for value in x_ticks:
        x = round(left + value / x_ticks[-1] * (right - left))
        cv2.line(picture, (x, bottom), (x, bottom + 5), _INK, 1)
        _text(picture, f"{value:g}", (x, bottom + 21), align=0.5)
    cv2.line(picture, (left, bottom), (right, bottom), _INK, 1)
    cv2.line(picture, (left, top), (left, bottom), _INK, 1)
    _text(picture, chart.title, (left, 26), size_px=_TITLE_PX, weight=600)
    _text(picture, chart.y_label, (left - 62, top - 12))
    _text(picture, chart.x_label, (right, bottom + 44), align=1)


def _line(picture: RGB, box: _Box, line: Line, x_end: float, y_end: float) -> None:
    left, top, right, bottom = box
    x = left + line.x / x_end * (right - left)
    y = bottom - line.y / y_end * (bottom - top)
    points = np.stack([x, y], axis=-1)
    breaks = np.flatnonzero(np.isnan(points).any(axis=1))
    for run in np.split(points, breaks):
        whole = run[~np.isnan(run).any(axis=1)]
        if len(whole):
            fixed = (whole * 2**_PARTS_OF_PIXEL).round().astype(np.int32)
            cv2.polylines(
                picture,
                [fixed],
                isClosed=False,
                color=line.colour,
                thickness=line.width_px,
                lineType=cv2.LINE_AA,
                shift=_PARTS_OF_PIXEL,
            )


def _legend(picture: RGB, box: _Box, named: list[Line]) -> None:
    """Above the frame, where it hides no line."""
    _, top, x, _ = box
    y = top - 12
    for line in reversed(named):
        x -= _width(line.name)
        _text(picture, line.name, (x, y))
        cv2.line(picture, (x - 30, y - 5), (x - 8, y - 5), line.colour, max(2, line.width_px))
        x -= 46


def _text(
    picture: RGB,
    text: str,
    at: tuple[int, int],
    *,
    align: float = 0,
    size_px: int = _FONT_PX,
    weight: int = 400,
) -> None:
    """Write on the base line `at`; align 0 starts there, 0.5 is centred, 1 ends there."""
    x = round(at[0] - align * _width(text, size_px, weight))
    cv2.putText(picture, text, (x, at[1]), _INK, cv2.FontFace("sans"), size_px, weight)


def _width(text: str, size_px: int = _FONT_PX, weight: int = 400) -> int:
    box = cv2.getTextSize((10_000, 100), text, (0, 0), cv2.FontFace("sans"), size_px, weight)
    return int(box[2])
