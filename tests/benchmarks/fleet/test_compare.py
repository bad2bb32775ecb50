"""Cells of real and simulated, by hand. No server runs."""

import json
from dataclasses import replace

import pytest

from benchmarks.fleet.compare import Cell, Load, figures, table
from benchmarks.fleet.report import Seen

REAL = Seen(100, 50.0, 1.0, 20.0, 40.0, 60.0)


def cell(simulated: Seen) -> Cell:
    return Cell(cameras=4, load=Load(1.0, 1.0), fps=12.5, real=REAL, simulated=simulated)


def test_ratios_are_simulated_over_real() -> None:
    one = cell(replace(REAL, served_fps=45.0, p50_ms=22.0, p99_ms=40.0))
    assert one.ratios == pytest.approx({"served_fps": 0.9, "p50_ms": 1.1, "p99_ms": 1.0})
    assert one.agrees


@pytest.mark.parametrize("name", ["served_fps", "p50_ms", "p99_ms"])
def test_one_ratio_past_the_bar_is_no_agreement(name: str) -> None:
    value = getattr(REAL, name)
    assert cell(replace(REAL, **{name: 1.14 * value})).agrees
    assert not cell(replace(REAL, **{name: 1.16 * value})).agrees
    assert not cell(replace(REAL, **{name: 0.84 * value})).agrees


def test_a_load_is_one_or_grows() -> None:
    assert Load.of("0.5") == Load(0.5, 0.5)
    assert Load.of("0.95:1.05") == Load(0.95, 1.05)
    assert [str(Load.of(text)) for text in ("2", "0.95:1.05")] == ["2", "0.95-1.05"]


def test_the_table_names_cells_that_are_apart() -> None:
    lines = table([cell(REAL), cell(replace(REAL, p99_ms=400.0))]).splitlines()
    assert "apart" not in lines[1]
    assert "apart" in lines[2]
    assert "10.000" in lines[2]


def test_figures_are_json() -> None:
    kept = figures(cell(REAL))
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert kept["agrees"] is True
