"""The one command, on a student of random weights: what it publishes, and what it refuses."""

import json
from pathlib import Path

import cv2
import pytest
import torch

from export.__main__ import main
from export.catalogue import verify
from fathom.card import CARD_FILE, NOT_RUN, read_card, verify_files
from tests.export.conftest import make_student, write_photos
from training.students.checkpoint import save_student


def test_one_command_leads_from_a_checkpoint_to_a_verified_model(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "eval.json"
    mean = {"delta1": 0.71, "abs_rel": 0.2, "rmse": 0.6, "log10": 0.08}
    figures.write_text(
        json.dumps({"protocol": "nyu-eigen", "part": "test", "pictures": 654, "mean": mean})
    )
    repository, sheet = tmp_path / "models", tmp_path / "sheet.png"
    arguments = [str(checkpoint), "--name=tiny", f"--repository={repository}", f"--images={photos}"]
    arguments += ["--targets=openvino,torch", f"--figures={figures}", f"--report={sheet}"]
    assert main(arguments) == 0
    folder = repository / "tiny"
    card = read_card(folder / CARD_FILE)
    assert card.recipe == "supervised"
    assert card.input_size == (64, 96)
    assert card.waived == ()
    figure = card.figure("delta1")
    assert figure is not None and (figure.value, figure.protocol) == (
        0.71,
        "nyu-eigen, test, 654 images",
    )
    assert [Path(file.path).name for file in verify_files(card, folder)] == [
        *("model.onnx", "model.xml", "model.bin", "model.pt2", "model.py")
    ]
    assert not any(finding.wrong for finding in verify(repository))
    out = capsys.readouterr().out
    assert "openvino bf16 p99 relative" in out and "published" in out and "FAILED" not in out
    # A strip and a row for each of two photos and five forms, bf16 of the ONNX file among them.
    drawn = cv2.imread(str(sheet))
    assert drawn is not None and drawn.shape == (2 * 5 * (64 + 16), 4 * 96, 3)


@pytest.mark.parametrize("spec", [{"head": "relative"}, {"metric_scale": False}])
def test_a_student_without_metres_is_not_exported(
    spec: dict[str, object], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student, path = make_student(**spec), tmp_path / "best.safetensors"
    save_student(path, student.spec, student.state_dict(), {})
    models = tmp_path / "models"
    assert main([str(path), "--name=tiny", f"--repository={models}", f"--images={photos}"]) == 1
    assert "expected a student of metric depth" in capsys.readouterr().err
    assert not models.exists()


def test_half_weights_are_what_ships_where_f32_is_not_asked_for(
    checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    arguments = [str(checkpoint), "--name=tiny", f"--repository={tmp_path}", f"--images={photos}"]
    assert main([*arguments, "--targets=onnx", "--precisions=f16,bf16"]) == 0
    card = read_card(tmp_path / "tiny" / CARD_FILE)
    assert [(f.target, f.precision) for f in card.files if f.path.endswith(".onnx")] == [
        ("onnx", "f16")
    ]
    assert card.figure("onnx f16 median relative") is not None
    assert card.figure("onnx f32 median relative") is None


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with NaN among its weights."""
    student = make_student()
    predict = student.get_submodule("decoder.predict")
    predict.bias = torch.nn.Parameter(torch.full((1,), torch.nan))
    path = tmp_path_factory.mktemp("broken") / "best.safetensors"
    save_student(path, student.spec, student.state_dict(), {})
    return path


def test_a_student_that_fails_a_gate_is_not_published_unless_somebody_says_so(
    broken: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(broken), "--name=tiny", f"--repository={tmp_path}", f"--images={photos}"]
    arguments += ["--targets=onnx"]
    assert main(arguments) == 1
    assert "NaN in the weights" in capsys.readouterr().out
    assert list((tmp_path / "tiny").iterdir()) == []
    assert main([*arguments, "--allow-worse"]) == 0
    assert "onnx f32 finite" in read_card(tmp_path / "tiny" / CARD_FILE).waived


def test_a_file_that_is_no_checkpoint_publishes_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a checkpoint")
    repository = tmp_path / "repository"
    arguments = [str(bad), "--name=tiny", f"--repository={repository}", f"--images={photos}"]
    assert main(arguments) == 1
    assert not repository.exists()
    assert "bad_model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--name=../up", "bad_option"),
        ("--targets=onyx", "openvino"),
        ("--precisions=f8", "bf16"),
        ("--targets=torch --precisions=bf16", "for torch one of f32"),
        ("--targets=tensorrt-rtx --compute-capability=9.0", "--engine torch"),
        ("--targets=tensorrt-rtx --compute-capability=ada", "nvidia-smi"),
        ("--targets=tensorrt", "tensorrt-rtx"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_built(
    checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    words: str,
) -> None:
    arguments = [str(checkpoint), "--name=tiny", f"--repository={tmp_path}", f"--images={photos}"]
    assert main([*arguments, *option.split()]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert " s  " not in told  # no progress was made


def test_int8_is_quantised_on_pictures_judged_and_published_beside_the_rest(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Random weights lose much in int8, so that the card has to say what was waived."""
    folder = tmp_path / "photos"
    folder.mkdir()
    write_photos(folder, 20)
    arguments = [str(checkpoint), "--name=tiny", f"--repository={tmp_path}", f"--images={folder}"]
    arguments += ["--targets=onnx,openvino", "--precisions=f32,int8", "--allow-worse"]
    assert main(arguments) == 0
    card = read_card(tmp_path / "tiny" / CARD_FILE)
    quantised = {
        (file.target, Path(file.path).name) for file in card.files if file.precision == "int8"
    }
    assert quantised == {
        ("onnx", "model.int8.onnx"),
        ("openvino", "model.int8.xml"),
        ("openvino", "model.int8.bin"),
    }
    assert card.figure("openvino int8 median relative") is not None
    assert all(file.status != NOT_RUN for file in card.files)
