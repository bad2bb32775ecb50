"""Runs of self-supervised, patch-kd and detail from the command, on tiny pictures."""

import json
from pathlib import Path

import cv2
import pytest
import torch

from training.__main__ import main
from training.data.made_video import MadeVideo
from training.data.reader import ALL
from training.loop import BEST, METRICS
from training.students.checkpoint import load_student, save_student
from training.students.spec import StudentSpec
from training.students.student import Student


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("own") / "best.safetensors"
    spec = StudentSpec(height_px=64, width_px=96, focal_px=96 * 518.86 / 640)
    save_student(path, spec, Student(spec).state_dict(), {})
    return path


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of a made video, two of which have both neighbours."""
    root, video = tmp_path_factory.mktemp("frames"), MadeVideo(4, (192, 256))
    for id_ in video.ids(ALL):
        cv2.imwrite(str(root / f"{id_}.png"), video.read(id_).image[..., ::-1])
    return root


def run(data: Path, out: Path, *more: str) -> dict[str, float]:
    """What the only epoch of a run said."""
    said = ["--data", str(data), "--out", str(out), "--epochs", "1", "--batch-size", "2"]
    assert main([*said, "--threads", "1", *more]) == 0
    told: dict[str, float] = json.loads((out / METRICS).read_text())
    return told


@pytest.mark.slow
def test_detail_from_the_command(tiny_nyu: Path, tmp_path: Path) -> None:
    told = run(tiny_nyu, tmp_path, "--recipe", "detail")
    parts = ("rmse_log", "sobel_gradient", "sobel_normal")
    assert all(told[part] > 0 and told[f"{part}_base"] > 0 for part in parts)
    assert load_student(tmp_path / BEST).spec.detail


@pytest.mark.slow
def test_self_supervised_from_the_command_says_no_metres(
    tiny_nyu: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--recipe", "self-supervised", "--sequence", str(frames), "--hfov-deg", "63.4")
    told = run(tiny_nyu, tmp_path, *words)
    assert told["reprojection"] > 0 and told["smoothness"] > 0
    assert not load_student(tmp_path / BEST).spec.metric_scale
    score = ["eval", "--checkpoint", str(tmp_path / BEST), "--data", str(tiny_nyu)]
    assert main(score) == 2
    assert "expected --align median or affine" in capsys.readouterr().err
    assert main([*score, "--align", "median", "--threads", "1"]) == 0
    assert "median" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["patch-kd", "patch-kd-self-supervised"])
def test_patches_from_the_command(
    tiny_nyu: Path, frames: Path, own: Path, tmp_path: Path, recipe: str
) -> None:
    teachers = ("--teacher", "own", "--teacher-weights", str(own), "--own-teacher", str(own))
    words = ["--recipe", recipe, *teachers]
    if recipe != "patch-kd":
        words += ["--sequence", str(frames)]
    told = run(tiny_nyu, tmp_path, *words)
    assert told["patch_kd"] > 0
    if recipe == "patch-kd":
        assert told["semantic_consistency"] > 0
    assert load_student(tmp_path / BEST).spec.attention == 2
    # Asked once a picture: six to fit on, or four frames.
    assert len(list((tmp_path / "taught").rglob("*.npy"))) == (6 if recipe == "patch-kd" else 4)


@pytest.mark.parametrize(
    ("recipe", "flag"),
    [("self-supervised", "--sequence"), ("patch-kd", "--own-teacher")],
)
def test_what_a_recipe_requires_is_asked_for(
    tiny_nyu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recipe: str, flag: str
) -> None:
    assert main(["--recipe", recipe, "--data", str(tiny_nyu), "--out", str(tmp_path)]) == 2
    assert f"expected {flag}" in capsys.readouterr().err
