import math
from dataclasses import replace

import numpy as np
import pytest

from export.gates import Gate, NotRun, judge, judge_accuracy, table
from export.networks import Maps, Network, of_student
from export.pictures import Pictures
from fathom.geometry import RGB
from training.evaluation import Metrics, Report
from training.evaluation.labels import LabelFigures
from training.students.student import Student


def gate(value: float, bound: float, *, at_least: bool = False, why: str = "") -> Gate:
    return Gate(
        subject="onnx f32", name="error", value=value, bound=bound, at_least=at_least, why=why
    )


def test_a_gate_holds_its_bound_from_the_side_it_says() -> None:
    assert gate(0.5, 1.0).passed
    assert not gate(1.5, 1.0).passed
    assert gate(1.5, 1.0, at_least=True).passed
    assert not gate(0.5, 1.0, at_least=True).passed


@pytest.mark.parametrize("at_least", [True, False])
def test_nan_passes_no_gate(at_least: bool) -> None:
    assert not gate(math.nan, 1.0, at_least=at_least).passed


def test_the_table_marks_what_failed_and_says_why_below() -> None:
    lines = table([gate(0.1, 1.0), gate(2.0, 1.0, why="too wide")]).splitlines()
    assert lines[1].endswith("ok")
    assert lines[2].endswith("FAILED")
    assert lines[3] == "onnx f32: too wide"


def test_what_was_not_run_is_never_said_to_have_passed() -> None:
    line = table([NotRun("tensorrt-rtx f16")]).splitlines()[1]
    assert "built, not run" in line
    assert "ok" not in line


def test_a_student_agrees_with_itself(student: Student, pictures: Pictures) -> None:
    same = of_student(student)
    gates = judge("torch f32", "f32", same, same, pictures)
    assert all(each.passed for each in gates)
    assert {each.name: each.value for each in gates}["median relative"] == 0


def test_padding_is_not_compared(student: Student, pictures: Pictures) -> None:
    same = of_student(student)

    def other_in_the_padding(frames: RGB) -> Maps:
        depth_m = same(frames).depth_m
        return Maps(np.where(pictures.content, depth_m, 2 * depth_m), None)

    gates = judge("onnx f32", "f32", other_in_the_padding, same, pictures)
    assert all(each.passed for each in gates)


@pytest.mark.parametrize(("precision", "passes"), [("f32", False), ("bf16", True)])
def test_bounds_are_as_wide_as_the_precision(
    student: Student, pictures: Pictures, precision: str, passes: bool
) -> None:
    same = of_student(student)
    half_a_percent: Network = lambda frames: Maps(same(frames).depth_m * np.float32(1.005), None)  # noqa: E731
    gates = judge(f"openvino {precision}", precision, half_a_percent, same, pictures)
    assert all(each.passed for each in gates) == passes


@pytest.mark.parametrize(
    ("shift", "passes"), [(0, True), (1, False), (None, False)], ids=["same", "off by one", "none"]
)
def test_classes_are_compared_where_the_student_has_some(
    student: Student, pictures: Pictures, shift: int | None, passes: bool
) -> None:
    rows = np.arange(student.network_size[0], dtype=np.uint8)[:, None] % 13 + 1

    def classified(by: int | None) -> Network:
        def run(frames: RGB) -> Maps:
            depth_m = of_student(student)(frames).depth_m
            ids = np.broadcast_to(rows, depth_m.shape)
            return Maps(depth_m, None if by is None else ids + np.uint8(by))

        return run

    gates = judge("onnx f32", "f32", classified(shift), classified(0), pictures)
    (labels,) = (each for each in gates if each.name == "labels agree")
    assert labels.passed == passes
    assert passes or "classes" in labels.why
    assert all(each.passed for each in gates if each is not labels)


def report(delta1: float, miou: float | None = None) -> Report:
    mean = Metrics(**dict.fromkeys(Metrics.__dataclass_fields__, 0.1) | {"delta1": delta1})
    labels = None if miou is None else LabelFigures(miou=miou, pixel_accuracy=0.5, iou={})
    return Report(
        protocol="nyu-eigen",
        part="val",
        pictures=1,
        without_truth=0,
        mean=mean,
        labels=labels,
        per_picture={},
    )


def test_half_a_point_of_delta1_may_be_lost_and_no_more() -> None:
    [kept] = judge_accuracy("openvino int8", report(0.7155), report(0.72))
    [lost] = judge_accuracy("openvino int8", report(0.7145), report(0.72))
    assert kept.passed and not lost.passed
    assert lost.value == pytest.approx(0.0055)
    assert "calibrate" in lost.why


def test_one_point_of_miou_may_be_lost_and_no_more() -> None:
    wanted = report(0.72, 0.40)
    assert all(g.passed for g in judge_accuracy("openvino int8", report(0.72, 0.391), wanted))
    failed = [
        g for g in judge_accuracy("openvino int8", report(0.72, 0.389), wanted) if not g.passed
    ]
    assert [g.name for g in failed] == ["mIoU lost"]


def test_gaining_is_not_losing() -> None:
    [gained] = judge_accuracy("openvino bf16", report(0.73), report(0.72))
    assert gained.passed and replace(gained).value < 0
