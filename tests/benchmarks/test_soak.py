"""A soak's judgement by hand, and a short soak for real: nobody's misbehaviour leaves anything."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import soak
from benchmarks.calm import Held
from benchmarks.soak_report import Soaked, broken_promises, figures
from benchmarks.tallies import Camera, Run

QUIET = Held(resident_mib=100.0, threads=14, descriptors=21, streams=0, waiting_frames=0)
FAULT = "ERROR fathom.server.lanes engine.fault frames=1 in_a_row=1 as null_fault_every asks"


def camera(answered: int, skipped: int = 0) -> Camera:
    outcomes = {"answered": answered, "skipped_superseded": skipped}
    ages_s = np.full(answered, 0.010, np.float32)
    return Camera(
        sent=answered + skipped,
        outcomes=outcomes,
        closing=outcomes,
        late_s=ages_s,
        due_s=ages_s,
        ages_s=ages_s,
    )


def held_out() -> Soaked:
    """Twenty minutes in which all is well: 100 frames a camera, memory flat after two minutes."""
    return Soaked(
        seconds=1200,
        visits={"frozen": 120},
        astray=[],
        steady=Run(1200, 1.0, [camera(90, 10), camera(100)]),
        received=205,
        frames={"answered": 190, "skipped_superseded": 10, "failed_engine_fault": 5},
        before=QUIET,
        after=replace(QUIET, resident_mib=105.0, threads=12),
        memory=[(float(at_s), 100.0 + min(at_s, 120) / 24) for at_s in range(1200)],
        errors=[FAULT] * 5,
    )


def test_a_soak_in_which_all_is_well_breaks_no_promise() -> None:
    assert broken_promises(held_out()) == []


def test_the_least_served_camera_is_measured_by_a_fair_share() -> None:
    """90 of 190 answers, where each should have 95."""
    assert held_out().least_share == pytest.approx(90 / 95)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"received": 206}, "received 206 frames, settled 205"),
        ({"astray": ["killed: Astray"]}, "killed: Astray"),
        (
            {"steady": Run(1, 1.0, [camera(50), camera(100)])},
            "least served camera got 67% of its share",
        ),
        (
            {"after": replace(QUIET, resident_mib=121.0)},
            "memory grew from 100 to 121 MiB",
        ),
        (
            {"memory": [(float(at_s), 100 + at_s / 300) for at_s in range(1200)]},
            "memory climbs 2.00 MiB in 10 minutes",
        ),
        ({"after": replace(QUIET, threads=15)}, "threads 14 -> 15"),
        ({"after": replace(QUIET, descriptors=22)}, "descriptors 21 -> 22"),
        ({"after": replace(QUIET, streams=1)}, "1 streams and 0 frames are left"),
        ({"errors": [FAULT, "Traceback (most recent call last):"]}, "the log: Traceback"),
    ],
)
def test_each_promise_that_is_broken_is_told(changed: dict[str, object], told: str) -> None:
    broken = broken_promises(replace(held_out(), **changed))  # type: ignore[arg-type]  # by name
    assert len(broken) == 1 and told in broken[0]


def test_a_frame_of_a_steady_camera_without_an_answer_is_told() -> None:
    lost = replace(camera(100), sent=101)
    steady = Run(1200, 1.0, [camera(90, 10), lost])
    assert broken_promises(replace(held_out(), steady=steady)) == [
        "camera 1 sent 101, got 100 answers"
    ]


def test_a_short_run_is_not_judged_by_its_slope() -> None:
    """An allocator's steps look like 600 MiB in ten minutes."""
    steps = [(float(at_s), 100.0 + at_s) for at_s in range(10)]
    assert broken_promises(replace(held_out(), seconds=10, memory=steps)) == []


def test_figures_say_what_was_broken() -> None:
    assert figures(held_out())["broken_promises"] == []
    assert figures(replace(held_out(), received=206))["broken_promises"]


@pytest.mark.slow
def test_a_short_soak_breaks_no_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All visitors, engine faults among them, against a real server."""
    out = tmp_path / "soak.json"
    code = soak.main(["--seconds=6", f"--json={out}", "--null-fault-every=100"])
    assert code == 0, capsys.readouterr().out
    found = json.loads(out.read_text("utf-8"))["figures"]
    assert set(found["visits"]) == set(soak.PERIODS_S)
    outcomes = set(found["frames_by_outcome"])
    assert {
        "answered",
        "failed_bad_image",
        "failed_engine_fault",
        "skipped_slow_reader",
    } <= outcomes
