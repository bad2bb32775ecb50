"""Fuzzing's judgement by hand, and each door for a moment for real."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.calm import Held
from benchmarks.fuzz import __main__ as fuzz
from benchmarks.fuzz.report import Fuzzed, broken_promises, figures

QUIET = Held(resident_mib=100.0, threads=14, descriptors=21, streams=0, waiting_frames=0)
FINE = Fuzzed(
    seconds=600,
    visits=90_000,
    counts={"400": 80_000, "200": 10_000},
    faults=[],
    faults_in_all=0,
    before=QUIET,
    after=replace(QUIET, resident_mib=119.0, threads=12),
    looks=[(float(second), 100.0 + second / 60, 14, 25) for second in range(600)],
    errors=[],
    alive=True,
)


def test_when_all_is_well_no_promise_is_broken() -> None:
    assert broken_promises(FINE) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"faults": [("500", b"x")], "faults_in_all": 3}, "3 faults: 500"),
        ({"alive": False}, "the server answers afterwards"),
        ({"after": replace(QUIET, resident_mib=120.5)}, "memory grew by 20.5 MiB"),
        ({"after": replace(QUIET, threads=15)}, "threads 14 -> 15"),
        ({"after": replace(QUIET, descriptors=22)}, "descriptors 21 -> 22"),
        ({"after": replace(QUIET, streams=1)}, "1 streams and 0 frames are left"),
        ({"errors": ["Traceback (most recent call last):"]}, "the log: Traceback"),
    ],
)
def test_each_promise_that_is_broken_is_told(changed: dict[str, object], told: str) -> None:
    broken = broken_promises(replace(FINE, **changed))  # type: ignore[arg-type]  # by name
    assert len(broken) == 1 and told in broken[0]


def test_figures_hold_a_bounded_number_of_looks_and_what_was_sent_as_text() -> None:
    found = figures(replace(FINE, faults=[("500", b"\xff" * 9000)], faults_in_all=1))
    looks = found["seconds_memory_mib_threads_descriptors"]
    assert isinstance(looks, list) and len(looks) == 300
    assert looks[0] == (0, 100.0, 14, 25) and looks[-1] == (599, 110.0, 14, 25)
    assert found["first_faults"] == [{"what": "500", "sent": "ff" * 400, "bytes": 9000}]


@pytest.mark.slow
@pytest.mark.parametrize("door", list(fuzz.DOORS))
def test_a_moment_at_each_door_breaks_no_promise(
    door: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fuzz.json"
    code = fuzz.main([f"--door={door}", "--seconds=1", "--seed=1", f"--json={out}"])
    assert code == 0, capsys.readouterr().out
    found = json.loads(out.read_text("utf-8"))["figures"][door]
    assert found["visits"] > 20 and len(found["answers"]) > 2
