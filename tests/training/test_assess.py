"""The command `eval`, from flags to table, JSON and sheet, for everything that can be scored."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fathom.card import Card, ModelFile, sha256_of
from tests.training.fake_teacher import write_onnx
from tests.training.test_formats import DRIVE, FRAME, TRUTH, Array, depth, picture, put
from training.__main__ import main
from training.students.checkpoint import save_student
from training.students.spec import StudentSpec
from training.students.student import Student

SIZE = (64, 96)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    spec = StudentSpec(height_px=SIZE[0], width_px=SIZE[1], focal_px=60.0)
    save_student(path, spec, Student(spec).state_dict(), {})
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model that says a fiftieth of its red channel plus one, in metres, and class 5 all over."""
    folder = tmp_path / "models" / "red" / "1"
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["pixels", "channel"], ["red"], axis=3),
        helper.make_node("Mul", ["red", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "one"], ["depth_m"]),
        helper.make_node("Mul", ["red", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "five"], ["class"]),
        helper.make_node("Cast", ["class"], ["labels"], to=TensorProto.UINT8),
    ]
    numbers = {"slope": 0.02, "one": 1.0, "zero": 0.0, "five": 5.0}
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()
    ]
    constants.append(helper.make_tensor("channel", TensorProto.INT64, [], [0]))
    shape = [1, *SIZE]
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [*shape, 3])],
        [
            helper.make_tensor_value_info("depth_m", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("labels", TensorProto.UINT8, shape),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    write_card(folder / "model.onnx")
    return tmp_path / "models"


def write_card(path: Path) -> None:
    file = ModelFile(
        path="1/model.onnx",
        target="onnx",
        precision="f32",
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )
    card = Card(
        name="red",
        version=1,
        summary="",
        recipe="",
        data="",
        data_licence="",
        parameters=0,
        input_size=SIZE,
        outputs=("depth_m", "labels"),
        classes=(),
        focal_px=85 / 640 * 518.86,
        range_m=(1.0, 6.1),
        figures=(),
        files=(file,),
    )
    (path.parent.parent / "card.json").write_text(card.to_json())


def read(path: Path, mode: int = cv2.IMREAD_UNCHANGED) -> Array:
    stored = cv2.imread(str(path), mode)
    assert stored is not None
    return stored


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["eval", "--threads", "1", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_checkpoint_gets_its_report_beside_it(
    tiny_nyu: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "--checkpoint", checkpoint, "--data", tiny_nyu)
    assert code == 0
    assert out.startswith("nyu-eigen on val, 2 pictures, mean per picture\n")
    names, values = (line.split() for line in out.splitlines()[1:3])
    path = checkpoint.with_name("best.val.nyu-eigen.json")
    report = json.loads(path.read_text())
    assert report["scored"] == f"checkpoint {checkpoint}"
    assert (report["protocol"], report["part"], report["pictures"]) == ("nyu-eigen", "val", 2)
    assert names[-1] == "edge_f1" and values[-1] == "-"  # a plane has no edge
    assert report["mean"]["edge_f1"] is None
    assert [f"{report['mean'][name]:.4f}" for name in names[:-1]] == values[:-1]
    assert list(report["per_picture"]) == ["0007", "0008"]
    # Two rows of four cells of 160x120 under a line of text each.
    assert read(path.with_suffix(".png")).shape == (2 * (120 + 14), 4 * 160, 3)


def test_a_model_is_run_from_its_file(
    tiny_nyu: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--model", "red", "--model-repository", str(repository), "--precision", "f32"]
    path = tmp_path / "found.json"
    code, out, _ = run(capsys, *told, "--data", tiny_nyu, "--split", "test", "--report", path)
    report = json.loads(path.read_text())
    assert code == 0 and report["scored"] == "model red, OpenVINO f32"
    # Label 5 on the left half of the truth: everything labelled is named rightly.
    assert report["labels"]["iou"] == {"floor": 1.0}
    assert "miou 1.0000" in out and path.with_suffix(".png").is_file()
    # The worst picture's depth, by hand: a fiftieth of red and one, bilinear from 64 rows of 96.
    image = read(tiny_nyu / "test" / "rgb" / "0009.jpg", cv2.IMREAD_COLOR_RGB)
    small = np.asarray(cv2.resize(image[..., 0], (85, 64), interpolation=cv2.INTER_AREA))
    wide = np.asarray(cv2.resize(small.astype(np.float32) / 50 + 1, (640, 480)))[::2, ::2]
    truth = read(tiny_nyu / "test" / "depth" / "0009.png") / 1e3
    box = (slice(23, 236), slice(21, 301))
    expected = float(np.mean(np.abs(wide[box] - truth[box]) / truth[box]))
    assert report["mean"]["abs_rel"] == pytest.approx(expected, rel=1e-3)


def test_a_model_that_is_not_the_cards(
    tiny_nyu: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (repository / "red" / "1" / "model.onnx").open("ab") as file:
        file.write(b"x")
    told = ["--model", "red", "--model-repository", str(repository)]
    code, _, err = run(capsys, *told, "--data", tiny_nyu)
    assert code == 1 and "with sha256" in err


def test_a_teacher_of_disparity_needs_a_fit(
    tiny_nyu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--teacher", "onnx-affine", "--teacher-weights"]
    told.append(str(write_onnx(tmp_path / "m.onnx", as_bytes=True)))
    code, _, err = run(capsys, *told, "--data", tiny_nyu)
    assert code == 2 and "--align affine for affine answers; got raw" in err
    code, out, _ = run(capsys, *told, "--data", tiny_nyu, "--align", "affine", "--flip")
    assert code == 0 and out.startswith("nyu-eigen+flip+affine-aligned on val")


def test_kitti_is_scored_on_whole_pictures(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second picture of the list has no truth; the first has some in Garg's box only."""
    stored = depth(height=375, width=1242, fill=0)
    stored[200:220, 300:400] = 256 * 7
    put(tmp_path / FRAME, picture(375, 1242))
    put(tmp_path / TRUTH, stored)
    bare = FRAME.replace("0000000069", "0000000070")
    put(tmp_path / bare, picture(375, 1242))
    assert DRIVE in FRAME
    (tmp_path / "eigen.txt").write_text(f"{FRAME} {TRUTH} 721.5377\n{bare} None 721.5377\n")
    for protocol in ("kitti-garg", "kitti-reference-002"):
        told = ["--data", str(tmp_path), "--split", "eigen", "--protocol", protocol]
        path = tmp_path / "found.json"
        code, out, _ = run(capsys, "--checkpoint", checkpoint, *told, "--report", path)
        assert code == 0
        assert out.startswith(f"{protocol} on eigen, 1 picture (1 without truth)")
        assert read(path.with_suffix(".png")).shape[0] == 120 + 14


@pytest.mark.parametrize("check", ["border", "focal"])
def test_a_promise_decides_the_exit_status(
    tiny_nyu: Path, checkpoint: Path, check: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "--checkpoint", checkpoint, "--data", tiny_nyu, "--check", check)
    found = json.loads(checkpoint.with_name(f"best.val.{check}.json").read_text())
    assert code == (0 if found["kept"] else 1)
    assert f"{found['value']:.4f}, at most" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "one of --checkpoint, --model and --teacher; got none of them"),
        (["--model", "a", "--teacher", "meter"], "got a, meter"),
        (["--teacher", "meter"], "--teacher-weights beside --teacher"),
        (["--model", "red", "--protocol", "nyu"], "nyu-eigen"),
        (["--model", "red", "--align", "both"], "raw"),
    ],
)
def test_misuse(
    tiny_nyu: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *words, "--data", tiny_nyu)
    assert code == 2 and complaint in err
