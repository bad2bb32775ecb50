"""The TensorRT engine up to the GPU: which plan, what memory, which graph, and what goes wrong."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.card import Card, ModelFile
from fathom.errors import Code, FathomError
from server.engines.batches import graph_sizes
from server.engines.engine import EngineFault
from server.engines.tensorrt import TensorRtEngine
from server.engines.tensorrt_plans import Place, choose_plan
from tests.server.tiny_model import INPUT_SIZE, new_card

MAGIC = bytes.fromhex("76747274")
ADA = Place((8, 9), "tensorrt-rtx", "1.7.1.116")
MADE_FOR = "SM 8.6, 8.9; tensorrt-rtx 1.7.1.116; batch 1 to 8"
TENSORS = {
    "frames": ("uint8", (-1, *INPUT_SIZE, 3)),
    "depth_m": ("float32", (-1, *INPUT_SIZE)),
    "labels": ("uint8", (-1, *INPUT_SIZE)),
}


def plan(precision: str = "f16", made_for: str = MADE_FOR) -> ModelFile:
    path = f"1/model.{precision}.plan"
    return ModelFile(
        path=path,
        target="tensorrt-rtx",
        precision=precision,
        bytes=1,
        sha256="0" * 64,
        made_for=made_for,
    )


def card(*files: ModelFile) -> Card:
    return new_card("tiny", files=files, outputs=("depth_m", "labels"))


class FakeLane:
    """Computes the tiny network on its host memory, for graphs that were captured before."""

    def __init__(self, driver: "FakeDriver", max_batch: int) -> None:
        self.driver = driver
        self.frames = np.zeros((max_batch, *INPUT_SIZE, 3), np.uint8)
        self.outputs: Mapping[str, NDArray[Any]] = {
            "depth_m": np.zeros((max_batch, *INPUT_SIZE), np.float32),
            "labels": np.zeros((max_batch, *INPUT_SIZE), np.uint8),
        }
        self.captured: list[int] = []
        self.ran: list[int] = []
        self.closed = False

    def capture(self, size: int) -> None:
        if self.driver.memory_left == 0:
            raise RuntimeError("out of memory")
        self.driver.memory_left -= 1
        self.captured.append(size)

    def run(self, size: int) -> None:
        assert size in self.captured
        self.ran.append(size)
        if self.driver.fault:
            raise RuntimeError(self.driver.fault)
        self.outputs["depth_m"][:size] = 1 + self.frames[:size].mean(-1) / 51
        self.outputs["labels"][:size] = self.frames[:size].argmax(-1)

    def close(self) -> None:
        self.closed = True


class FakeDriver:
    """A GPU of one kind, with memory for so many graphs."""

    device = "a GPU that is none"

    def __init__(self, place: Place = ADA) -> None:
        self.place = place
        self.tensors: Mapping[str, tuple[str, tuple[int, ...]]] = TENSORS
        self.memory_left = 100
        self.fault = ""
        self.lanes: list[FakeLane] = []
        self.loaded: list[bytes] = []

    def load(self, plan: bytes) -> "FakeDriver":
        self.loaded.append(plan)
        if plan == MAGIC + b"broken":
            raise RuntimeError("the plan cannot be deserialised")
        return self

    def lane(self, max_batch: int) -> FakeLane:
        self.lanes.append(FakeLane(self, max_batch))
        return self.lanes[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "1").mkdir()
    (tmp_path / plan().path).write_bytes(MAGIC + b"whole")
    return tmp_path


def refused(driver: FakeDriver, asked: Card, folder: Path) -> FathomError:
    with pytest.raises(FathomError) as caught:
        TensorRtEngine(driver, asked, folder)
    assert caught.value.code is Code.BAD_MODEL and caught.value.repair
    return caught.value


def test_a_plan_for_this_gpu_and_version_is_taken() -> None:
    other = plan("f32", MADE_FOR.replace("8.9", "12.0"))
    chosen = choose_plan(card(other, plan()), ADA)
    assert chosen.file == plan() and chosen.max_batch == 8


@pytest.mark.parametrize("precision", ["auto", "f16"])
def test_the_smallest_precision_goes_first(precision: str) -> None:
    assert choose_plan(card(plan("f32"), plan("f16")), ADA, precision).file.precision == "f16"
    assert choose_plan(card(plan("f32"), plan("f16")), ADA, "f32").file.precision == "f32"


def test_a_plan_without_gpus_runs_on_all_that_its_library_knows() -> None:
    made_for = "tensorrt-rtx 1.7.1.116; batch 1 to 4"
    assert choose_plan(card(plan(made_for=made_for)), ADA).max_batch == 4


@pytest.mark.parametrize(
    "place",
    [
        replace(ADA, capability=(9, 0)),
        replace(ADA, version="1.6.1.120"),
        replace(ADA, library="tensorrt"),
    ],
    ids=["GPU", "version", "library"],
)
def test_a_plan_for_elsewhere_is_refused_with_the_export_that_repairs_it(
    place: Place, folder: Path
) -> None:
    error = refused(FakeDriver(place), card(plan()), folder)
    assert str(place) in error.expected and MADE_FOR in error.got
    assert "python -m export" in error.repair and place.library in error.repair


@pytest.mark.parametrize("made_for", ["", "a GPU", "SM 8.9"])
def test_a_plan_that_does_not_say_what_it_is_for_is_refused(folder: Path, made_for: str) -> None:
    refused(FakeDriver(), card(plan(made_for=made_for)), folder)


def test_a_model_without_plans_is_refused(folder: Path) -> None:
    assert refused(FakeDriver(), card(), folder).got == "no plans"


@pytest.mark.parametrize("data", [b"", b"ONNX", MAGIC[:3]])
def test_a_file_that_is_no_plan_never_reaches_the_library(folder: Path, data: bytes) -> None:
    (folder / plan().path).write_bytes(data)
    driver = FakeDriver()
    assert plan().path in refused(driver, card(plan()), folder).got
    assert driver.loaded == []


def test_a_plan_that_the_library_refuses_is_refused(folder: Path) -> None:
    (folder / plan().path).write_bytes(MAGIC + b"broken")
    assert "deserialised" in refused(FakeDriver(), card(plan()), folder).got


@pytest.mark.parametrize("name", list(TENSORS))
def test_a_plan_with_another_signature_than_its_card_is_refused(folder: Path, name: str) -> None:
    driver = FakeDriver()
    driver.tensors = TENSORS | {name: ("float16", TENSORS[name][1])}
    assert name in refused(driver, card(plan()), folder).got


def test_two_lanes_capture_a_graph_for_each_batch_size(folder: Path) -> None:
    driver = FakeDriver()
    engine = TensorRtEngine(driver, card(plan()), folder)
    assert [lane.captured for lane in driver.lanes] == [[1, 2, 4, 8]] * 2
    assert (engine.spec.lanes, engine.spec.max_batch, engine.spec.precision) == (2, 8, "f16")
    assert engine.spec.overlap
    small = TensorRtEngine(driver, card(plan()), folder, lanes=1, max_batch=3)
    assert driver.lanes[-1].captured == [1, 2, 3] and small.spec.max_batch == 3


def test_when_the_memory_of_the_gpu_ends_what_was_taken_is_given_back(folder: Path) -> None:
    for graphs in range(8):
        driver = FakeDriver()
        driver.memory_left = graphs
        assert "out of memory" in refused(driver, card(plan()), folder).got
        assert all(lane.closed for lane in driver.lanes)


@pytest.mark.parametrize(("count", "graph"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_a_batch_is_padded_to_the_next_graph_and_cut_again(
    folder: Path, count: int, graph: int
) -> None:
    driver = FakeDriver()
    engine = TensorRtEngine(driver, card(plan()), folder)
    shape = (count, *INPUT_SIZE, 3)
    frames = np.random.default_rng(count).integers(0, 256, shape).astype(np.uint8)
    outputs = engine.infer(frames, 1)
    np.testing.assert_allclose(outputs.depth_m, 1 + frames.mean(-1) / 51, rtol=1e-6)
    assert outputs.labels is not None and np.array_equal(outputs.labels, frames.argmax(-1))
    assert (driver.lanes[0].ran, driver.lanes[1].ran) == ([], [graph])


def test_a_fault_of_the_gpu_is_a_fault_of_the_batch(folder: Path) -> None:
    driver = FakeDriver()
    engine = TensorRtEngine(driver, card(plan()), folder)
    frames = np.zeros((1, *INPUT_SIZE, 3), np.uint8)
    driver.fault = "an illegal address"
    with pytest.raises(EngineFault, match="illegal address"):
        engine.infer(frames, 0)
    driver.fault = ""
    engine.infer(frames, 0)


@pytest.mark.parametrize("shape", [(9, *INPUT_SIZE, 3), (1, 8, 8, 3)])
def test_frames_that_do_not_fit_are_never_copied(folder: Path, shape: tuple[int, ...]) -> None:
    engine = TensorRtEngine(FakeDriver(), card(plan()), folder)
    with pytest.raises(EngineFault):
        engine.infer(np.zeros(shape, np.uint8), 0)


def test_closing_gives_every_lane_back(folder: Path) -> None:
    driver = FakeDriver()
    TensorRtEngine(driver, card(plan()), folder).close()
    assert all(lane.closed for lane in driver.lanes)


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_graphs_are_for_powers_of_two_and_the_largest(largest: int, sizes: list[int]) -> None:
    assert graph_sizes(largest) == sizes
