"""Teachers: units, framing, averaging, the cache; and the published figures on real pictures."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fathom.errors import Code, FathomError
from fathom.geometry import Letterbox
from tests.training.fake_teacher import Ramp, pictures, write_onnx
from training.data.nyu import NyuFolder
from training.evaluation import PROTOCOLS, mean_metrics, score
from training.students.checkpoint import save_student
from training.students.spec import StudentSpec
from training.students.student import Student
from training.teachers.choice import open_teacher
from training.teachers.ensemble import LogMean, Mirrored
from training.teachers.meter import FRAMED, Meter
from training.teachers.meter_network import MeterXxs, MobileViT
from training.teachers.onnx_file import OnnxFile, OnnxForm
from training.teachers.own import OwnStudent
from training.teachers.pruned import Node, run_node
from training.teachers.teacher import Teacher, Unit, metres_of


def test_metres_follow_the_camera() -> None:
    """A camera of NYU's field of view changes nothing; twice the focal length, twice the metres."""
    told = np.full((24, 32), 2.0, np.float32)
    nyu_px = 518.86 / 640 * 32
    assert metres_of(told, nyu_px) == pytest.approx(told)
    assert metres_of(told, 2 * nyu_px) == pytest.approx(2 * told)


def test_mirrored_answers_meet_in_the_middle() -> None:
    answer = Mirrored(Ramp())(pictures(1, 2, 4))
    # Columns say 1 2 3 4 and, mirrored, 4 3 2 1: geometric means.
    assert answer[0, 0] == pytest.approx(np.sqrt([4, 6, 6, 4]))


def test_mirrored_disparity_may_be_negative() -> None:
    answer = Mirrored(Ramp(-2.0, Unit.AFFINE))(pictures(1, 2, 4))
    assert answer[0, 0] == pytest.approx([-0.5] * 4)


def test_a_log_mean_by_hand() -> None:
    both = LogMean([Ramp(1.0), Ramp(3.0)], [3, 1])
    assert both(pictures(1, 2, 4))[0, 0, 0] == pytest.approx(3**0.25)
    assert both.key != LogMean([Ramp(1.0), Ramp(3.0)], [1, 1]).key


def test_only_metres_are_averaged() -> None:
    with pytest.raises(FathomError, match="got one that is affine") as caught:
        LogMean([Ramp(), Ramp(unit=Unit.AFFINE)], [1, 1])
    assert caught.value.code is Code.BAD_SETTING


# --- METER, with random weights ---


@pytest.fixture
def meter(tmp_path: Path) -> Meter:
    torch.manual_seed(0)
    weights = {k: v for k, v in MeterXxs().state_dict().items() if "num_batches" not in k}
    save_file(weights, tmp_path / "meter_xxs_nyu.safetensors")
    border = np.full(FRAMED, 255, np.uint8)
    border[6:-5, 7:-8] = 0
    cv2.imwrite(str(tmp_path / "meter_border_mask.png"), border)
    teacher = open_teacher("meter", tmp_path)
    assert isinstance(teacher, Meter)
    return teacher


def test_meter_paints_its_frame_on_any_picture(meter: Meter) -> None:
    black = meter.prepare(np.zeros((60, 80, 3), np.uint8))
    white, dark = black.max(), black.min()
    assert black.shape == (3, 192, 256)
    # 640x480 to 256x192 is by 0.4: six rows above are two, eight columns right are three.
    assert (black[0, :2] == black[0, 0, 0]).all() and (black[0, :, -3:] == black[0, 0, 0]).all()
    assert black[0, 96, 128] < 0 < black[0, 0, 0] and white > 2 > dark


def test_meter_answers_each_picture_alone_and_keeps_its_weights(meter: Meter) -> None:
    before = {key: value.clone() for key, value in meter.network.state_dict().items()}
    frames = pictures(2, 48, 64)
    both = meter(frames)
    assert both.shape == (2, 48, 64) and both.dtype == np.float32 and both.min() >= 0.1
    assert both[1] == pytest.approx(meter(frames[1:])[0], rel=1e-4)
    after = meter.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(parameter.requires_grad for parameter in meter.network.parameters())


@pytest.mark.usefixtures("meter")
def test_meter_without_all_weights(tmp_path: Path) -> None:
    save_file({"decoder.conv2d_in.weight": torch.zeros(64, 160, 1, 1)}, tmp_path / "w.safetensors")
    with pytest.raises(FathomError, match="the weights of METER-xxs") as caught:
        Meter(tmp_path / "w.safetensors", tmp_path / "meter_border_mask.png")
    assert caught.value.code is Code.BAD_MODEL


def test_attention_is_among_equal_places_of_the_patches() -> None:
    """A change at an even pixel reaches all even ones and, before the next 3x3, no odd one."""
    torch.manual_seed(0)
    block = MobileViT(48, 64, 128).eval()
    seen: list[torch.Tensor] = []
    block.conv3.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    block.conv1 = torch.nn.Sequential()
    x = torch.rand(1, 48, 4, 6)
    changed = x.clone()
    changed[0, :, 2, 4] += 1
    with torch.no_grad():
        block(x), block(changed)
    moved = (seen[0] - seen[1]).abs().amax(1)[0] > 1e-7
    assert moved[::2, ::2].all()
    assert moved.sum() == 2 * 3


# --- the pruned network's steps ---


def step(*steps: str, inputs: Sequence[str], stride: int = 1) -> Node:
    return Node(name="y", steps=frozenset(steps), inputs=inputs, stride=stride)


def test_steps_of_the_graph_by_hand() -> None:
    values = {
        "r": torch.full((1, 1, 1, 2), 5.0),
        "x": torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]),
        "dense": torch.tensor([1.0, 10.0]).view(1, 2, 1, 1),
        "each": torch.tensor([1.0, 10.0]).view(2, 1, 1, 1),
        "twice": torch.full((1, 1, 1), 2.0),
        "minus": torch.full((1, 1, 1), -30.0),
    }
    dense = run_node(step("conv2d", inputs=["x", "dense", "minus"]), values)
    assert dense.flatten().tolist() == [31 - 30, 42 - 30]
    relu = run_node(step("conv2d", "relu", inputs=["x", "each", "minus"]), values)
    assert relu.flatten().tolist() == [0, 0, 0, 10]
    names = ["x", "dense", "twice", "minus"]
    clip = run_node(step("conv2d", "broadcast_mul", "clip", inputs=names), values)
    assert clip.flatten().tolist() == [6, 6]
    names = ["r", "x", "dense", "minus"]
    add = run_node(step("conv2d", "elemwise_add", inputs=names), values)
    assert add.flatten().tolist() == [6, 17]
    up = run_node(step("upsampling", inputs=["x"]), values)
    assert up[0, 0, 0].tolist() == [1, 1.25, 1.75, 2]  # corners not aligned


# --- own students and ONNX files ---


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("own") / "best.safetensors"
    spec = StudentSpec(height_px=64, width_px=96, focal_px=96 * 518.86 / 640)
    save_student(path, spec, Student(spec).state_dict(), {})
    return path


def test_an_own_student_in_metres_of_the_picture(checkpoint: Path) -> None:
    teacher = OwnStudent(checkpoint)
    wide = teacher(pictures(2, 64, 96))
    assert wide.shape == (2, 64, 96)
    assert wide == pytest.approx(teacher.student.predict(pictures(2, 64, 96)), rel=1e-5)
    # An upright picture fills half of the width: its camera sees less, so things are nearer.
    upright = pictures(1, 96, 72)
    seen = teacher.student.predict(Letterbox((96, 72), (64, 96)).embed(upright[0])[None])
    half = float(np.median(seen[:, :, 24:72])) / 2
    assert float(np.median(teacher(upright))) == pytest.approx(half, rel=0.02)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_an_onnx_file_with_its_unit(tmp_path: Path, as_bytes: bool) -> None:
    path = write_onnx(tmp_path / "m.onnx", as_bytes=as_bytes)
    form = OnnxForm(unit=Unit.AFFINE, mean=(0, 0, 0), std=(1, 1, 1))
    teacher, frames = OnnxFile(path, form), pictures(2)
    assert teacher.unit is Unit.AFFINE
    assert teacher(frames) == pytest.approx(frames[..., 1].astype(np.float32), abs=1e-3)
    other = OnnxFile(path, OnnxForm(unit=Unit.METRIC))
    assert other.key != teacher.key and open_teacher("onnx-relative", path).unit is Unit.RELATIVE


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no graph")
    with pytest.raises(FathomError, match="expected an ONNX graph"):
        OnnxFile(tmp_path / "m.onnx", OnnxForm(unit=Unit.METRIC))


def test_an_unknown_teacher(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match="a teacher of meter, pruned, ensemble, own, onnx-metric"):
        open_teacher("zoe", tmp_path)


# --- real weights and pictures: the published figures, loosely ---


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "delta1"), [("meter", 0.70), ("pruned", 0.62)])
def test_real_teachers_on_real_pictures(real_data: Path, name: str, delta1: float) -> None:
    """On 109 pictures their deltas are 0.793 and 0.733, their scale right within 2.5 %."""
    weights = Path(os.environ.get("DEPTH_WEIGHTS", real_data / "weights"))
    if not (weights / "meter_xxs_nyu.safetensors").is_file():
        pytest.skip(f"no teachers in {weights}; set DEPTH_WEIGHTS to the folder that holds them")
    teacher: Teacher = open_teacher(name, weights)
    folder, protocol = NyuFolder(real_data / "nyuv2"), PROTOCOLS["nyu-eigen"]
    rows, ratios = [], []
    for id_ in folder.ids("test")[6::200]:
        sample = protocol.prepare(folder.read(id_))
        depth_m = teacher(sample.image[None])[0][::2, ::2]
        counted = protocol.counted(sample)
        rows.append(score(depth_m, sample, protocol, id_))
        ratios.append(np.median(sample.depth_m[counted] / depth_m[counted]))
    assert len(rows) == 4
    assert mean_metrics(rows).delta1 > delta1
    assert 0.85 < float(np.median(ratios)) < 1.15


@pytest.mark.data
@pytest.mark.slow
def test_real_meter_needs_its_frame(real_data: Path) -> None:
    """Without the border the published network is 1.6 times off; with it painted on, it is not."""
    weights = Path(os.environ.get("DEPTH_WEIGHTS", real_data / "weights"))
    if not (weights / "meter_xxs_nyu.safetensors").is_file():
        pytest.skip(f"no teachers in {weights}; set DEPTH_WEIGHTS to the folder that holds them")
    teacher = open_teacher("meter", weights)
    assert isinstance(teacher, Meter)
    folder = NyuFolder(real_data / "nyuv2")
    painted: list[float] = []
    bare: list[float] = []
    for id_ in folder.ids("test")[6::200]:
        sample = folder.read(id_)
        inside = np.ascontiguousarray(sample.image[7:474, 7:632])
        truth_m = sample.depth_m[4:237, 4:316]
        for ratios, border in ((painted, teacher.border), (bare, np.zeros(FRAMED, np.bool_))):
            teacher.border, kept = border, teacher.border
            depth_m = teacher(inside[None])[0][::2, ::2][:233, :312]
            teacher.border = kept
            ratios.append(float(np.median(truth_m / depth_m)))
    assert 0.8 < float(np.median(painted)) < 1.2
    assert float(np.median(bare)) < 0.75
