"""Results: percentiles by hand, and everything beside the figures that makes them readable."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.results import Summary, write_result


def test_percentiles_by_hand() -> None:
    """0 to 100 ms in steps of one: the percentile is its own number."""
    summary = Summary.of([i / 1e3 for i in range(101)])
    assert summary == Summary(count=101, p50_ms=50, p95_ms=95, p99_ms=99, mean_ms=50)


def test_percentiles_lie_between_neighbours() -> None:
    """Of 10 and 20 ms, p99 lies 99 hundredths of the way."""
    assert Summary.of([0.010, 0.020]).p99_ms == pytest.approx(19.9)
    assert Summary.of([0.5]).p99_ms == 500


def test_a_result_says_what_ran_where(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.json"
    write_result(path, {"fps": 12.5}, (0.5, 0.25, 0.125))
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["figures"] == {"fps": 12.5}
    assert result["load_average_before"] == [0.5, 0.25, 0.12]
    assert set(result) >= {"command", "commit", "date", "machine", "python", "versions"}
    assert result["versions"]["numpy"] == np.__version__
