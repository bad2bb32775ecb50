"""The command: a tiny scene from its options to its files."""

import json
from pathlib import Path

import cv2
import pytest

from benchmarks.fleet.__main__ import main

TINY = ["--cameras=8", "--fps=5", "--nodes=2", "--seconds=2"]


def written(folder: Path, *more: str) -> dict[str, object]:
    path = folder / "out.json"
    assert main([*TINY, *more, f"--json={path}"]) == 0
    assert cv2.imread(str(path.with_suffix(".png"))) is not None
    figures = json.loads(path.read_text())["figures"]
    assert isinstance(figures, dict)
    return figures


def test_a_scene_leaves_figures_and_a_picture(tmp_path: Path) -> None:
    figures = written(tmp_path, "--placement=random,two-choices", "--lose=1")
    runs = figures["runs"]
    assert isinstance(runs, list)
    assert [run["scene"]["placement"] for run in runs] == ["random", "two-choices"]
    assert all(run["frames"] == 80 and run["sums_agree"] for run in runs)
    assert "costs" in figures


def test_the_fewest_nodes_are_found_and_those_beside_them_kept(tmp_path: Path) -> None:
    """40 frames/s are little for one node of the committed costs."""
    figures = written(tmp_path, "--find", "--age-p99-ms=100")
    assert figures["fewest_nodes"] == 1


def test_autoscaling_leaves_a_chart_of_nodes(tmp_path: Path) -> None:
    assert written(tmp_path, "--autoscale", "--placement=least-loaded")["runs"]


@pytest.mark.parametrize(
    "wrong", [["--engine=null"], ["--move", "--placement=affinity"], ["--placement=best"]]
)
def test_what_cannot_be_meant_is_refused(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main([*TINY, *wrong, f"--json={tmp_path / 'out.json'}"])
    assert end.value.code == 2
