"""Medians, ratios and the table, against numbers worked out by hand."""

import pytest

from benchmarks.rivals.table import Cell, Row, Scene, medians, row, text


def test_scenes_are_read_as_written() -> None:
    assert str(Scene.parse("16x15")) == "16x15"
    assert Scene.parse("1x29.97") == Scene(1, 29.97)
    for wrong in ("16", "0x15", "x", "1x0", "1xinf", "1x2x3"):
        with pytest.raises(ValueError):
            Scene.parse(wrong)


def one_round(fps: float, p99_ms: float) -> dict[str, float]:
    counts = dict.fromkeys(("sent", "skipped", "failed", "unanswered"), 7)
    ages = {"age_p50_ms": 1.0, "age_p95_ms": 2.0, "age_p99_ms": p99_ms}
    return {"fps": fps, "memory_mib": 99.0} | counts | ages


def test_ratios_are_taken_round_by_round() -> None:
    cell = Cell("fastapi", "every frame", Scene(1, 60))
    # In its second round the machine was busy: the ratio of that round says so of neither.
    rival = [one_round(50, 100), one_round(10, 500), one_round(40, 90)]
    fathom = [one_round(100, 20), one_round(20, 100), one_round(60, 30)]
    line = row(cell, rival, fathom)
    assert line.figures == medians(rival)
    assert line.figures["fps"] == 40
    assert line.fps_ratio == 2
    assert line.p99_ratio == 5


def test_without_fathom_there_is_no_ratio() -> None:
    line = row(Cell("fastapi", "every frame", Scene(1, 60)), [one_round(50, 100)], [])
    assert line.fps_ratio is None
    assert "50.0" in text([line])


def test_the_table_says_why_a_server_has_no_figures() -> None:
    scene = Scene(16, 15)
    rows = [
        row(Cell("fathom", "stream, latest", scene), [one_round(140, 33.3)], []),
        Row(Cell("triton", "every frame", scene), {}, note="cannot be built: no wheel"),
    ]
    titles, fathom, triton, *legend = text(rows).splitlines()
    assert titles.split()[:3] == ["cameras", "server", "client"]
    assert "140.0" in fathom
    assert "33.3" in fathom
    assert triton.endswith("cannot be built: no wheel")
    assert all("x fps" in line for line in (titles, legend[0]))
