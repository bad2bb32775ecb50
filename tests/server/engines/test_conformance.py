"""What every engine must do, whatever it runs on: one contract, one suite."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.geometry import F32, RGB
from server.engines.engine import Engine, EngineFault
from server.engines.null import NullEngine, ramp
from server.engines.onnxruntime import OnnxRuntimeEngine
from server.engines.openvino import OpenVinoEngine
from server.engines.torch import TorchEngine
from server.engines.triton import TritonEngine
from tests.server.engines.fake_triton import FakeTriton
from tests.server.engines.ray_cluster import START_S, RayCluster, publish_card
from tests.server.engines.real_triton import INSTALL_S, RealTriton, tritons
from tests.server.tiny_model import INPUT_SIZE, new_card, write_card, write_model

OUTPUTS = ("depth_m", "labels")
LANES = 2
REAL_TRITON = pytest.param(
    "real triton", marks=[pytest.mark.slow, pytest.mark.timeout(INSTALL_S)], id="real triton"
)
RAY = pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.timeout(START_S)], id="ray")
NETWORKS = ["openvino", "onnxruntime", "torch", "triton", REAL_TRITON, RAY]
Open: TypeAlias = Callable[[], Engine]


def open_engine(name: str, onnx_path: Path, pt2_path: Path, stack: ExitStack) -> Engine:
    """An engine of that name; whatever it needs besides goes with the stack."""
    match name:
        case "null":
            return NullEngine(lanes=LANES, max_batch=4)
        case "openvino":
            return OpenVinoEngine(
                onnx_path,
                input_size=INPUT_SIZE,
                outputs=OUTPUTS,
                precision="f32",
                lanes=LANES,
                threads=1,
            )
        case "onnxruntime":
            return OnnxRuntimeEngine(
                onnx_path, input_size=INPUT_SIZE, outputs=OUTPUTS, lanes=LANES, max_batch=4
            )
        case "triton":
            server = stack.enter_context(FakeTriton(instances=LANES).serving())
            card = write_card(onnx_path.parent / "cards", "tiny", files=[], outputs=OUTPUTS)
            return TritonEngine([server.address], card)
        case "ray":
            from server.engines.ray import RayEngine, ServeReplicas

            card = new_card("tiny", files=[], outputs=OUTPUTS)
            return RayEngine(ServeReplicas(card), card)
        case _:
            return TorchEngine(
                pt2_path, input_size=INPUT_SIZE, outputs=OUTPUTS, lanes=LANES, max_batch=4
            )


@pytest.fixture(scope="module")
def real_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealTriton]:
    with tritons(tmp_path_factory.mktemp("triton")) as [server]:
        yield server


@pytest.fixture(scope="module")
def ray_replicas(ray_nodes: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    repository = tmp_path_factory.mktemp("ray")
    publish_card(repository, write_model(repository, labels=True))
    with ray_nodes.deployed(
        model="tiny",
        model_repository=repository,
        engine="onnxruntime",
        precision="f32",
        max_batch=4,
    ):
        yield


@pytest.fixture
def engine(request: pytest.FixtureRequest, onnx_path: Path, pt2_path: Path) -> Iterator[Engine]:
    with ExitStack() as stack:
        if request.param == "real triton":
            server: RealTriton = request.getfixturevalue("real_triton")
            engine: Engine = TritonEngine(
                [server.address], new_card("tiny", files=[], outputs=OUTPUTS), lanes=LANES
            )
        else:
            if request.param == "ray":
                request.getfixturevalue("ray_replicas")
            engine = open_engine(request.param, onnx_path, pt2_path, stack)
        yield engine
        engine.close()


every_engine = pytest.mark.parametrize("engine", ["null", *NETWORKS], indirect=True)
every_network = pytest.mark.parametrize("engine", NETWORKS, indirect=True)


def frames(engine: Engine, count: int, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, *engine.spec.input_size, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def truth(engine: Engine, frame: RGB) -> F32:
    """Depth of one frame, by the formula that the engine was given."""
    if engine.spec.name == "null":
        return ramp(engine.spec.input_size)
    return np.asarray(1 + frame.mean(axis=-1) / 51, np.float32)


def answers(engine: Engine, batch: NDArray[np.uint8], lane: int = 0) -> bool:
    """Whether the engine gives the true depth and labels of a batch."""
    outputs = engine.infer(batch, lane)
    assert outputs.depth_m.dtype == np.float32
    assert outputs.depth_m.shape == batch.shape[:3]
    if outputs.labels is not None:
        assert outputs.labels.dtype == np.uint8
        assert np.array_equal(outputs.labels, batch.argmax(-1))
    true_m = np.stack([truth(engine, frame) for frame in batch])
    return close(engine, outputs.depth_m, true_m)


def close(engine: Engine, depth_m: F32, true_m: F32) -> bool:
    """Equal up to the roundings of float32, or of bf16 where a server chooses that by itself."""
    return np.allclose(
        depth_m, true_m, rtol=2**-7 if engine.spec.name == "triton" else 1e-5, atol=0
    )


@every_engine
def test_it_says_what_it_is(engine: Engine) -> None:
    spec = engine.spec
    assert spec.name and spec.device and spec.precision
    assert spec.lanes == LANES and spec.max_batch >= 1
    assert "depth_m" in spec.outputs


@every_engine
def test_batches_of_every_size_it_takes_are_answered(engine: Engine) -> None:
    for count in range(1, engine.spec.max_batch + 1):
        assert answers(engine, frames(engine, count, seed=count))


@every_engine
def test_labels_come_where_the_spec_says_so(engine: Engine) -> None:
    labels = engine.infer(frames(engine, 1), 0).labels
    assert (labels is not None) == ("labels" in engine.spec.outputs)


@every_engine
def test_an_answer_stays_while_another_lane_computes(engine: Engine) -> None:
    one, other = frames(engine, 1, seed=1), frames(engine, 1, seed=2)
    kept = engine.infer(one, 0).depth_m
    for _ in range(3):
        assert answers(engine, other, lane=1)
    assert close(engine, kept[0], truth(engine, one[0]))


@every_engine
def test_lanes_compute_at_once(engine: Engine) -> None:
    def work(lane: int) -> bool:
        rounds = range(20)
        return all(answers(engine, frames(engine, 1, seed=lane * 100 + i), lane) for i in rounds)

    with ThreadPoolExecutor(LANES) as pool:
        assert all(pool.map(work, range(LANES)))


@every_engine
def test_a_frame_in_a_larger_buffer_is_read_where_it_lies(engine: Engine) -> None:
    """As a lane has it: the first of many in memory that is written again and again."""
    buffer = frames(engine, 8)
    assert answers(engine, buffer[:1])
    buffer[:] = frames(engine, 8, seed=9)
    assert answers(engine, buffer[:1])


@every_network
@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, *INPUT_SIZE, 4), (1, *INPUT_SIZE)])
def test_frames_of_a_wrong_shape_are_a_fault_of_the_batch_alone(
    engine: Engine, shape: tuple[int, ...]
) -> None:
    with pytest.raises(EngineFault):
        engine.infer(np.zeros(shape, np.uint8), 0)
    assert answers(engine, frames(engine, 1))


@every_engine
def test_it_is_opened_and_closed_again_and_again(
    engine: Engine, onnx_path: Path, pt2_path: Path
) -> None:
    """In the order of opening, as when one version takes over from another."""
    for _ in range(2):
        with ExitStack() as stack:
            second = open_engine(engine.spec.name, onnx_path, pt2_path, stack)
            assert answers(second, frames(second, 1))
            second.close()
    assert answers(engine, frames(engine, 1))
