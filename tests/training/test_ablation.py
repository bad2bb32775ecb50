"""Runs told beside each other: what is trained, what is not again, and the figures over seeds."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fathom.errors import FathomError
from training.__main__ import main
from training.ablation import read_run, write_report
from training.flags import parse
from training.loop import BEST, LAST, METRICS
from training.settings import TrainSettings
from training.students.checkpoint import save_student
from training.students.spec import StudentSpec


def write_run(folder: Path, delta1: Sequence[float], *flags: str) -> Path:
    """The folder of a run that scored these after its epochs."""
    folder.mkdir()
    vals = [{"delta1": d, "abs_rel": 1 - d, "rmse": 2 - d} for d in delta1]
    lines = [{"epoch": i, "fit_s": 10.0, "val": val} for i, val in enumerate(vals)]
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["--data", "/data/nyuv2", "--out", str(folder), *flags]
    settings = parse(TrainSettings, words).model_dump(mode="json")
    best = delta1.index(max(delta1))
    notes = {"settings": settings, "epoch": best, "val": vals[best]}
    save_student(folder / BEST, StudentSpec(), {}, notes)
    return folder


def test_a_run_says_how_it_was_made_without_saying_where(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "plain-s0", [0.5, 0.7, 0.6], "--no-labelled"))
    assert (run.name, run.seed, run.epochs, run.fit_s) == ("plain", 0, 3, 30.0)
    assert (run.best_epoch, run.best["delta1"], run.last["delta1"]) == (1, 0.7, 0.6)
    assert run.curve == [0.5, 0.7, 0.6]
    assert "--data nyuv2 " in run.command and "--no-labelled" in run.command
    assert "--seed 0" in run.command and run.command.endswith("--out runs/plain-s0")
    assert str(tmp_path) not in json.dumps(run.settings)
    # The command is one that can be given.
    assert not parse(TrainSettings, run.command.split()[3:]).labelled


def test_figures_over_seeds_and_against_the_first(tmp_path: Path) -> None:
    runs = [
        read_run(write_run(tmp_path / f"{name}-s{seed}", [d], "--seed", str(seed)))
        for name, seed, d in (("plain", 0, 0.60), ("plain", 1, 0.62), ("taught", 0, 0.66))
    ]
    table = write_report(tmp_path / "made" / "ablation.json", runs)
    told = json.loads((tmp_path / "made" / "ablation.json").read_text())
    assert told["seeds"] == {"plain": [0, 1], "taught": [0]}
    assert told["over_seeds"]["plain"]["delta1"] == pytest.approx({"mean": 0.61, "spread": 0.02})
    assert len(told["runs"]) == 3
    assert "| plain | supervised | 1 | 2 | 0.6100 ± 0.0100 |" in table
    assert table.splitlines()[-1].endswith("| +5.00 |")
    assert (tmp_path / "made" / "ablation.md").read_text() == table + "\n"


@pytest.mark.slow
def test_a_plan_is_trained_once(
    tiny_nyu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'[common]\ndata = "{tiny_nyu}"\nepochs = 1\nbatch-size = 3\nthreads = 1\n'
        '[runs.plain]\nrecipe = "supervised"\nseeds = [3]\n'
    )
    said = ["ablation", "--plan", str(plan), "--out", str(tmp_path / "runs")]
    assert main([*said, "--report", str(tmp_path / "a.json")]) == 0
    assert "| plain | supervised | 1 | 1 |" in capsys.readouterr().out
    written = (tmp_path / "runs" / "plain-s3" / LAST).stat().st_mtime_ns
    assert main([*said, "--report", str(tmp_path / "b.json")]) == 0
    assert (tmp_path / "runs" / "plain-s3" / LAST).stat().st_mtime_ns == written
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("text", ["", "[runs.a]\nrecipe = 'x'", "runs = 3", "= 3"])
def test_a_plan_in_another_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    said = ["ablation", "--plan", str(tmp_path / "plan.toml"), "--report", str(tmp_path / "r.json")]
    assert main(said) == 2


def test_nothing_to_tell_of(tmp_path: Path) -> None:
    assert main(["ablation", "--report", str(tmp_path / "r.json")]) == 2
    with pytest.raises(FathomError, match="with at least one epoch"):
        read_run(tmp_path)
