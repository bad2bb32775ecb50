"""A whole run with a teacher and unlabelled pictures, on tiny rooms, from the command."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fathom.errors import FathomError
from tests.training.fake_teacher import write_onnx
from training.__main__ import main
from training.asking import Asked
from training.checkpoint import SETTINGS_KEY
from training.data.loader import Loader
from training.data.nyu import CONTENT, NyuFolder, read_depth
from training.feed import feed
from training.flags import parse
from training.loop import BEST, LAST, METRICS
from training.prepare import recipe_of
from training.recipes import RECIPES
from training.schedules import Constant
from training.settings import TrainSettings
from training.students.checkpoint import load_student, read_header, read_notes, save_student
from training.students.spec import StudentSpec
from training.students.student import Student
from training.teachers.cache import TargetCache
from training.teachers.own import OwnStudent
from training.terms.consistency import SemanticConsistency
from training.terms.parts import Taught

PARTS = ("truth", "teacher", "unlabelled")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("teacher") / "best.safetensors"
    spec = StudentSpec(height_px=64, width_px=96, focal_px=96 * 518.86 / 640)
    save_student(path, spec, Student(spec).state_dict(), {})
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Square pictures, as Places squeezes them."""
    root = tmp_path_factory.mktemp("places")
    for number in range(5):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        image = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / f"kitchen_{number}.jpg"), image)
    return root


def words(data: Path, out: Path, *more: str) -> list[str]:
    said = ["--recipe", "auxiliary-kd", "--data", str(data), "--out", str(out)]
    return [*said, "--epochs", "1", "--batch-size", "2", "--threads", "1", *more]


@pytest.mark.slow
def test_a_run_from_the_command(
    tiny_nyu: Path, teacher: Path, places: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with_teacher = ["--teacher", "own", "--teacher-weights", str(teacher)]
    extra = ["--unlabelled", str(places), "--unlabelled-per-labelled", "0.5", "--lambda-kd", "0.25"]
    assert main(words(tiny_nyu, out, *with_teacher, *extra)) == 0
    told = json.loads((out / METRICS).read_text())
    parts = [f"{base}_{part}" for base in ("silog", "log_gradient") for part in PARTS]
    assert all(told[part] > 0 for part in parts)
    assert load_student(out / BEST).spec.focal_px == pytest.approx(259.43)
    notes = read_notes(out / BEST)
    assert notes["settings"]["lambda_kd"] == 0.25  # type: ignore[index]
    # Six pictures to fit on and five without depth were asked about, and no others.
    assert len(list((out / "taught").rglob("*.npy"))) == 11
    assert json.loads(read_header(out / LAST)[SETTINGS_KEY])["unlabelled_per_labelled"] == 0.5


def test_the_preset_is_what_was_not_said(tiny_nyu: Path, tmp_path: Path) -> None:
    settings = parse(TrainSettings, words(tiny_nyu, tmp_path, "--lambda-kd", "0.3")).with_preset()
    assert (settings.lambda_kd, settings.unlabelled_per_labelled) == (0.3, 1.0)
    assert settings.teacher == "ensemble"
    plain = TrainSettings.model_validate({"data": tiny_nyu, "out": tmp_path}).with_preset()
    assert (plain.teacher, plain.lambda_kd, plain.unlabelled_per_labelled) == (None, None, None)


def test_supervised_becomes_taught_by_lambda_alone(
    tiny_nyu: Path, teacher: Path, tmp_path: Path
) -> None:
    """Without unlabelled pictures there is no term for them, which would otherwise be an error."""
    recipe = RECIPES["supervised"].taught(Taught(lambda_kd=0.5, unlabelled=False))
    assert [term.name for term in recipe.terms] == [
        f"{base}_{part}" for base in ("silog", "log_gradient") for part in PARTS[:2]
    ]
    said = {"data": tiny_nyu, "out": tmp_path, "batch_size": 2, "teacher": "own"}
    settings = TrainSettings.model_validate({**said, "teacher_weights": teacher})
    batches = feed(settings, recipe, NyuFolder(tiny_nyu), StudentSpec())
    batch = next(batches.epoch(0))
    assert len(batches) == 3 and len(batch.frames) == 2 and batch.taught is not None


def test_unlabelled_pictures_have_no_class_where_classes_count(
    tiny_nyu: Path, teacher: Path, places: Path, tmp_path: Path
) -> None:
    said = {"data": tiny_nyu, "out": tmp_path, "batch_size": 2, "teacher": "own"}
    settings = TrainSettings.model_validate(
        {**said, "teacher_weights": teacher, "unlabelled": places, "unlabelled_per_labelled": 1}
    )
    terms = (*RECIPES["supervised"].terms, SemanticConsistency(weight=Constant(0.1)))
    recipe = replace(RECIPES["supervised"], terms=terms)
    assert not recipe.needs("taught") and recipe.needs("labels")
    with pytest.raises(FathomError, match="they would teach nothing"):
        feed(settings, recipe, NyuFolder(tiny_nyu), StudentSpec())
    recipe = recipe.taught(Taught(lambda_kd=0.5, unlabelled=False))
    batch = next(feed(settings, recipe, NyuFolder(tiny_nyu), StudentSpec()).epoch(0))
    assert batch.labels is not None and batch.labels.shape == (4, 256, 320)
    assert batch.labels[:2].any() and not batch.labels[2:].any()


def test_the_teacher_sees_the_whole_picture_and_metres_follow_its_camera(
    tiny_nyu: Path, teacher: Path, tmp_path: Path
) -> None:
    own = OwnStudent(teacher)
    sample = NyuFolder(tiny_nyu).read("0001")
    taught = Asked(taught=TargetCache(own, tmp_path, shrink=1))(sample).taught
    assert taught == pytest.approx(own(sample.image[None])[0], rel=2e-3)  # NYU's own camera
    assert Asked()(sample).taught is None
    said = {"data": tiny_nyu, "out": tmp_path, "batch_size": 2, "teacher": "own"}
    settings = TrainSettings.model_validate({**said, "teacher_weights": teacher})
    recipe = RECIPES["supervised"].taught(Taught(lambda_kd=0.5, unlabelled=False))
    loader = feed(settings, recipe, NyuFolder(tiny_nyu), StudentSpec())
    assert isinstance(loader, Loader)
    cropped = own(sample.image[None])[0][CONTENT]
    assert loader.samples[0].taught == pytest.approx(cropped, rel=3e-3)
    of_cropped = own(np.ascontiguousarray(sample.image[CONTENT])[None])[0]
    assert float(np.median(np.abs(of_cropped / cropped - 1))) > 6e-3


@pytest.mark.parametrize(
    ("recipe", "flags", "told"),
    [
        ("auxiliary-kd", [], "expected --teacher and --teacher-weights"),
        ("supervised", ["--teacher", "own"], "add --lambda-kd 0.5"),
        ("supervised", ["--unlabelled", "x"], "they would teach nothing"),
    ],
)
def test_a_teacher_without_use_and_use_without_a_teacher(
    tiny_nyu: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recipe: str,
    flags: list[str],
    told: str,
) -> None:
    said = words(tiny_nyu, tmp_path / "run", *flags)
    assert main([*said, "--recipe", recipe]) == 2
    assert told in capsys.readouterr().err


def test_a_teacher_in_another_unit(tiny_nyu: Path, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", as_bytes=True)
    said = {"data": tiny_nyu, "out": tmp_path, "teacher": "onnx-affine", "teacher_weights": path}
    recipe = RECIPES["supervised"].taught(Taught(lambda_kd=0.5, unlabelled=False))
    with pytest.raises(FathomError, match="got onnx-affine, which is affine"):
        feed(TrainSettings.model_validate(said), recipe, NyuFolder(tiny_nyu), StudentSpec())


RUNS = {
    "N_t_X": ("resnet34", "", ""),
    "N_t_X_U_label": ("resnet34", "", "auxiliary"),
    "N_s_X_no_KD": ("mobilenet-v2", "", ""),
    "N_s_X_U_label_no_KD": ("mobilenet-v2", "", "auxiliary"),
    "N_s_X": ("mobilenet-v2", "truth teacher", "teacher_weights"),
    "N_s_U_unlabel": ("mobilenet-v2", "unlabelled", "teacher_weights unlabelled"),
    "N_s_X_U_unlabel": (
        "mobilenet-v2",
        "truth teacher unlabelled",
        "teacher_weights unlabelled",
    ),
    "N_s_X_U_label": ("mobilenet-v2", "truth teacher", "teacher_weights auxiliary"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_the_published_matrix(
    name: str, tiny_nyu: Path, teacher: Path, places: Path, tmp_path: Path
) -> None:
    """Its network, what its terms compare with, what it asks for, and that its batches have it."""
    encoder, parts, requires = RUNS[name]
    given = {"teacher_weights": teacher, "unlabelled": places, "auxiliary": tiny_nyu}
    said = {"recipe": name, "data": tiny_nyu, "out": tmp_path, "batch_size": 2}
    for left_out in requires.split():
        others = {key: given[key] for key in requires.split() if key != left_out}
        settings = TrainSettings.model_validate({**said, **others}).with_preset()
        with pytest.raises(FathomError, match=f"--{left_out.replace('_', '-')}, which the recipe"):
            recipe_of(settings)
    asked = {key: given[key] for key in requires.split()}
    settings = TrainSettings.model_validate({**said, **asked}).with_preset()
    recipe = recipe_of(settings)
    assert (settings.spec.encoder, settings.spec.decoder) == (encoder, "se5x5")
    found = {term.name.split("_")[-1] for term in recipe.terms} & set(PARTS)
    assert found == set(parts.split())
    batch = next(feed(settings, recipe, NyuFolder(tiny_nyu), settings.spec).epoch(0))
    measured = batch.valid.flatten(1).any(dim=1)
    bare = 2 * ("unlabelled" in requires)
    labelled = (2 if settings.labelled else 0) + 2 * ("auxiliary" in requires)
    assert (int(measured.sum()), int((~measured).sum())) == (labelled, bare)
    assert (batch.taught is not None) is bool(parts)


def test_a_teacher_s_metres_count_on_pictures_of_like_scale(
    tiny_nyu: Path, teacher: Path, places: Path, tmp_path: Path
) -> None:
    said = {"data": tiny_nyu, "out": tmp_path, "teacher_weights": teacher, "unlabelled": places}
    for name, free in (("auxiliary-kd", True), ("N_s_U_unlabel", False)):
        settings = TrainSettings.model_validate({**said, "recipe": name}).with_preset()
        terms = [t for t in recipe_of(settings).terms if t.name.endswith("unlabelled")]
        assert [term.scale_free for term in terms] == [free, free]  # type: ignore[attr-defined]


def test_auxiliary_pictures_of_another_scale_are_told_of(
    tiny_nyu: Path,
    new_nyu: Callable[[], Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same rooms ten times as large."""
    street = new_nyu()
    for path in (street / "train" / "depth").glob("*.png"):
        depth_mm = np.minimum(read_depth(path) * 10_000, 65535)
        cv2.imwrite(str(path), depth_mm.astype(np.uint16))
    said = {"data": tiny_nyu, "out": tmp_path, "batch_size": 2, "recipe": "N_t_X_U_label"}
    for auxiliary, warned in ((tiny_nyu, False), (street, True)):
        caplog.clear()
        settings = TrainSettings.model_validate({**said, "auxiliary": auxiliary}).with_preset()
        feed(settings, recipe_of(settings), NyuFolder(tiny_nyu), settings.spec)
        assert ("other scenes" in caplog.text) is warned
