"""From the figures of every round to medians, ratios and a table. Knows no server and no clock."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

Figures: TypeAlias = Mapping[str, float]

_LEGEND = (
    "x fps: Fathom's frames/s over this server's. x p99: this server's age p99 over Fathom's.\n"
    "Medians over rounds; ages in milliseconds, of answers with depth."
)


@dataclass(frozen=True, slots=True)
class Scene:
    """How many cameras, at how many frames a second each."""

    cameras: int
    fps: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """ "16x15" is sixteen cameras of 15 frames a second; raises ValueError."""
        cameras, fps = text.split("x")
        scene = cls(int(cameras), float(fps))
        if scene.cameras < 1 or not 0 < scene.fps < math.inf:
            raise ValueError(text)
        return scene

    def __str__(self) -> str:
        return f"{self.cameras}x{self.fps:g}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table: a server, how its cameras ask, and which cameras they are."""

    server: str
    style: str
    scene: Scene


@dataclass(frozen=True, slots=True)
class Row:
    """A cell's medians over rounds, and how Fathom did in the same rounds.

    fps_ratio  Fathom's frames a second over this server's, median of the rounds' ratios
    p99_ratio  this server's age p99 over Fathom's, likewise
    note       why there are no figures
    """

    cell: Cell
    figures: Figures
    fps_ratio: float | None = None
    p99_ratio: float | None = None
    note: str = ""


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def row(cell: Cell, rounds: Sequence[Figures], fathom: Sequence[Figures]) -> Row:
    """Medians of a cell's rounds, and its ratios to Fathom's rounds of the same scene."""
    if not rounds:
        return Row(cell, {}, note="no figures")
    return Row(
        cell,
        medians(rounds),
        fps_ratio=_ratio((f["fps"], r["fps"]) for f, r in zip(fathom, rounds, strict=False)),
        p99_ratio=_ratio(
            (r["age_p99_ms"], f["age_p99_ms"]) for f, r in zip(fathom, rounds, strict=False)
        ),
    )


def text(rows: Sequence[Row]) -> str:
    """The table, a line a cell."""
    titles = (
        f"{'cameras':<9}{'server':<10}{'client':<16}{'frames/s':>9}{'age p50':>10}{'p95':>10}"
        f"{'p99':>10}{'sent':>7}{'skipped':>8}{'failed':>7}{'unanswered':>11}{'MiB':>7}"
        f"{'x fps':>9}{'x p99':>9}"
    )
    return "\n".join([titles, *map(_line, rows), _LEGEND])


def _line(row: Row) -> str:
    head = f"{row.cell.scene!s:<9}{row.cell.server:<10}{row.cell.style:<16}"
    if row.note:
        return f"{head}  {row.note}"
    figures = row.figures
    ages = "".join(f"{figures[f'age_{p}_ms']:>10.1f}" for p in ("p50", "p95", "p99"))
    counts = "".join(
        f"{figures[name]:>{width}.0f}"
        for name, width in (
            ("sent", 7),
            ("skipped", 8),
            ("failed", 7),
            ("unanswered", 11),
            ("memory_mib", 7),
        )
    )
    ratios = f"{_times(row.fps_ratio):>9}{_times(row.p99_ratio):>9}"
    return f"{head}{figures['fps']:>9.1f}{ages}{counts}{ratios}"


def _ratio(pairs: Iterable[tuple[float, float]]) -> float | None:
    ratios = [over / under for over, under in pairs if under > 0]
    return statistics.median(ratios) if ratios else None


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"
