"""From answers to a report: sizes, alignment, refusals, classes, and a perfect predictor."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Letterbox
from training.data.nyu import NyuFolder, WithLabels
from training.data.sample import Sample
from training.evaluation.alignment import Alignment
from training.evaluation.labels import Confusion, Labels
from training.evaluation.protocols import PROTOCOLS
from training.evaluation.scored import Answer, Flipped, Letterboxed, scored_student
from training.evaluation.scoring import Scoring, answered, evaluate, least_fitted, score
from training.students.spec import StudentSpec
from training.students.student import Student
from training.teachers.teacher import Unit

EIGEN = PROTOCOLS["nyu-eigen"]
NETWORK = (256, 320)
NETWORK_FOCAL_PX = 259.43


def flat(depth_m: float) -> Sample:
    return Sample(
        image=np.zeros((240, 320, 3), np.uint8),
        depth_m=np.full((240, 320), depth_m, np.float32),
        valid=np.ones((240, 320), np.bool_),
        focal_px=259.43,
        scene="flat",
    )


class Says:
    """Answers every picture with one map, cut or repeated to its size, and one class."""

    def __init__(self, depth: F32, unit: Unit = Unit.METRIC, label: int | None = None) -> None:
        self.depth, self.unit, self.label = depth, unit, label

    def __call__(self, image: RGB, focal_px: float | None) -> Answer:  # noqa: ARG002
        step = image.shape[0] // self.depth.shape[0]
        depth = self.depth.repeat(step, 0).repeat(step, 1)
        labels = None if self.label is None else np.full(depth.shape, self.label, np.uint8)
        return Answer(depth, labels)


def boxed(network_map: F32) -> Letterboxed:
    def network(frames: RGB) -> tuple[F32, Labels | None]:
        return np.broadcast_to(network_map, frames.shape[:3]).copy(), None

    return Letterboxed(network=network, network_size=NETWORK, focal_px=NETWORK_FOCAL_PX)


def test_predictions_are_clamped_and_not_aligned() -> None:
    found = score(np.full((240, 320), 50, np.float32), EIGEN.prepare(flat(5)), EIGEN, "0001")
    assert found.abs_rel == pytest.approx(1.0)  # 50 becomes 10, and 10 is twice 5


def test_blw_neither_clamps_nor_takes_what_is_not_in_front() -> None:
    blw = PROTOCOLS["blw-nyu"]
    shown = blw.prepare(flat(5))
    far = score(np.full((228, 304), 50, np.float32), shown, blw, "0001")
    assert far.abs_rel == pytest.approx(9)
    behind = np.full((228, 304), 5, np.float32)
    behind[3, 4] = 0
    with pytest.raises(FathomError, match=r"metres above 0 .* got 1 pixels"):
        score(behind, shown, blw, "0001")


def test_pixels_that_do_not_count_change_nothing() -> None:
    rng = np.random.default_rng(0)
    predicted, sample = rng.uniform(1, 4, (240, 320)).astype(np.float32), flat(2)
    valid = rng.random((240, 320)) < 0.99
    shown = EIGEN.prepare(replace(sample, valid=valid))
    expected = score(predicted, shown, EIGEN, "0001")
    spoiled = np.where(EIGEN.counted(shown), predicted, np.nan).astype(np.float32)
    assert score(spoiled, shown, EIGEN, "0001") == expected


def test_an_answer_that_is_not_finite_is_refused() -> None:
    predicted = np.full((240, 320), 2, np.float32)
    predicted[120, 160] = np.nan
    with pytest.raises(FathomError, match="1 pixels that are not") as caught:
        score(predicted, EIGEN.prepare(flat(2)), EIGEN, "0001")
    assert caught.value.code is Code.BAD_MODEL


def test_a_picture_out_of_range_is_refused() -> None:
    with pytest.raises(FathomError, match="picture 0007"):
        score(np.ones((240, 320), np.float32), EIGEN.prepare(flat(0)), EIGEN, "0007")


@pytest.mark.parametrize("size", [(480, 640), (240, 320)])
def test_a_prediction_lands_on_the_pixel_it_was_made_for(size: tuple[int, int]) -> None:
    """A network that names its column gives maps whose columns count by one."""
    columns = np.arange(320, dtype=np.float32)
    given = replace(flat(2), image=np.zeros((*size, 3), np.uint8), focal_px=259.43 * size[1] / 320)
    found = answered(boxed(columns), given, Scoring())[0]
    # At 640 wide, column 2i of the picture is at i - 1/4 of the network's, and is clamped at 0.
    offset = 0.25 if size[1] == 640 else 0.0
    assert found.shape == (240, 320)
    assert np.abs(found - np.maximum(columns - offset, 0)).max() < 1e-3


def test_metres_follow_the_focal_length_where_it_is_known() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    two = boxed(np.full(NETWORK, 2, np.float32))
    assert two(image, None).depth.mean() == pytest.approx(2)
    assert two(image, NETWORK_FOCAL_PX).depth.mean() == pytest.approx(2)
    assert two(image, 3 * NETWORK_FOCAL_PX).depth.mean() == pytest.approx(6, rel=1e-5)


def test_flipping_meets_in_the_middle() -> None:
    columns = np.broadcast_to(np.arange(1, 321, dtype=np.float32), NETWORK)
    flipped = Flipped(boxed(columns))(np.zeros((240, 320, 3), np.uint8), None).depth
    expected = np.sqrt(np.arange(1, 321) * np.arange(320, 0, -1.0))
    assert flipped[100] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("part", "pictures"), [("val", 2), ("test", 1)])
def test_a_predictor_that_knows_the_truth_is_perfect(
    tiny_nyu: Path, part: str, pictures: int
) -> None:
    folder = NyuFolder(tiny_nyu)
    padded = np.ones(NETWORK, np.float32)
    padded[Letterbox((240, 320), NETWORK).content] = folder.read("0007").depth_m
    report = evaluate(boxed(padded), folder, part, Scoring())
    assert report.pictures == pictures and set(report.per_picture) == set(folder.ids(part))
    assert report.mean.delta1 == 1
    assert report.mean.abs_rel < 2e-3  # a quarter pixel of 10 mm slope, at 480x640


def test_what_was_done_to_the_answers_is_in_the_name(tiny_nyu: Path) -> None:
    folder = NyuFolder(tiny_nyu)
    half = Says(np.float32(0.5) * folder.read("0007").depth_m)
    raw = evaluate(half, folder, "val", Scoring())
    assert raw.protocol == "nyu-eigen" and raw.mean.abs_rel == pytest.approx(0.5)
    fitted = evaluate(half, folder, "val", Scoring(align=Alignment.MEDIAN))
    assert fitted.protocol == "nyu-eigen+median-aligned"
    assert fitted.mean.abs_rel == pytest.approx(0, abs=1e-6)
    both = Scoring(protocol=PROTOCOLS["generic"], align=Alignment.AFFINE, flip=True)
    assert both.name == "generic+flip+affine-aligned"


def test_disparity_is_scored_only_when_fitted(tiny_nyu: Path) -> None:
    folder = NyuFolder(tiny_nyu)
    disparity = Says(np.float32(100) / folder.read("0007").depth_m - np.float32(3), Unit.AFFINE)
    with pytest.raises(FathomError, match="--align affine for affine answers"):
        evaluate(disparity, folder, "val", Scoring())
    report = evaluate(disparity, folder, "val", least_fitted(disparity))
    assert report.protocol == "nyu-eigen+affine-aligned"
    assert report.mean.abs_rel == pytest.approx(0, abs=1e-4)


class Listed:
    """Samples by name, as a data set of any form gives them."""

    def __init__(self, **samples: Sample) -> None:
        self.samples = samples

    def ids(self, part: str) -> list[str]:  # noqa: ARG002
        return list(self.samples)

    def read(self, id_: str) -> Sample:
        return self.samples[id_]


def test_pictures_without_truth_are_counted_and_left_out() -> None:
    bare = replace(flat(0), valid=np.zeros((240, 320), np.bool_))
    two = Says(np.full((240, 320), 2, np.float32))
    report = evaluate(two, Listed(a=flat(2), b=bare, c=flat(4)), "all", Scoring())
    assert (report.pictures, report.without_truth) == (2, 1)
    assert report.mean.abs_rel == pytest.approx(0.25)
    with pytest.raises(FathomError, match="measured depth in part all"):
        evaluate(two, Listed(b=bare), "all", Scoring())


def test_truth_of_another_size_than_the_picture() -> None:
    given = replace(flat(2), depth_m=np.full((100, 130), 2, np.float32))
    given = replace(given, valid=np.ones((100, 130), np.bool_))
    scoring = Scoring(protocol=PROTOCOLS["generic"])
    report = evaluate(Says(np.full((240, 320), 2, np.float32)), Listed(a=given), "all", scoring)
    assert report.mean.delta1 == 1


# --- classes ---


def test_intersection_over_union_by_hand() -> None:
    truth = np.array([[1, 1, 2, 2, 0, 5]], np.uint8)
    said = np.array([[1, 2, 2, 2, 7, 0]], np.uint8)
    confusion = Confusion()
    confusion.add(said, truth)
    found = confusion.figures()
    # bed: 1 of 2; books: 2 of 3; floor: 0 of 1; the unlabelled pixel counts nowhere.
    assert found is not None
    assert found.iou == pytest.approx({"bed": 1 / 2, "books": 2 / 3, "floor": 0})
    assert found.miou == pytest.approx(7 / 18)
    assert found.pixel_accuracy == pytest.approx(3 / 5)


def test_counts_are_pooled_over_pictures() -> None:
    confusion = Confusion()
    confusion.add(np.array([[1]], np.uint8), np.array([[1]], np.uint8))
    confusion.add(np.full((1, 9), 2, np.uint8), np.full((1, 9), 1, np.uint8))
    found = confusion.figures()
    assert found is not None and found.iou == {"bed": 0.1}
    assert Confusion().figures() is None


def test_classes_are_scored_where_both_sides_name_them(tiny_nyu: Path) -> None:
    folder = NyuFolder(tiny_nyu)
    says = Says(folder.read("0007").depth_m, label=5)
    assert evaluate(says, folder, "val", Scoring()).labels is None
    report = evaluate(says, WithLabels(folder), "test", Scoring())
    assert report.labels is not None and report.labels.iou == {"floor": 1}
    mute = evaluate(Says(folder.read("0007").depth_m), WithLabels(folder), "val", Scoring())
    assert mute.labels is None


# --- students ---


def test_a_student_is_scored_as_it_is_served(tiny_nyu: Path) -> None:
    torch.manual_seed(0)
    student = Student(StudentSpec(height_px=64, width_px=96, focal_px=60.0)).eval()
    image = NyuFolder(tiny_nyu).read("0009").image
    box = Letterbox((480, 640), (64, 96))
    seen = box.extract(student.predict(box.embed(image)[None])[0], (480, 640))
    # 640 columns become 85 of the network's 96: a focal length of 518.86 becomes 68.91.
    factor = 518.86 * 85 / 640 / 60.0
    assert scored_student(student)(image, 518.86).depth == pytest.approx(seen * factor, rel=1e-4)
    assert scored_student(student)(image, None).depth == pytest.approx(seen)
