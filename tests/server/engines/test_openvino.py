"""A real network through OpenVINO: bytes in, metres out, and a clear no to what is no network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fathom.errors import Code, FathomError
from server.engines.engine import EngineFault
from server.engines.openvino import OpenVinoEngine
from tests.server.tiny_model import GREY, GREY_M, INPUT_SIZE, write_onnx


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., OpenVinoEngine]:
    def open_(*, labels: bool = False, precision: str = "f32", lanes: int = 1) -> OpenVinoEngine:
        path = tmp_path / "model.onnx"
        write_onnx(path, labels=labels)
        return OpenVinoEngine(
            path,
            input_size=INPUT_SIZE,
            outputs=("depth_m", "labels") if labels else ("depth_m",),
            precision=precision,
            lanes=lanes,
            threads=1,
        )

    return open_


def test_bytes_become_metres(opened: Callable[..., OpenVinoEngine]) -> None:
    engine = opened()
    frames = np.random.default_rng(1).integers(0, 256, (1, *INPUT_SIZE, 3)).astype(np.uint8)
    outputs = engine.infer(frames, 0)
    assert outputs.depth_m.shape == (1, *INPUT_SIZE) and outputs.depth_m.dtype == np.float32
    # f32 arithmetic over three channels: a few roundings.
    np.testing.assert_allclose(outputs.depth_m, 1 + frames.mean(axis=-1) / 51, rtol=1e-6)
    assert outputs.labels is None
    engine.close()


def test_automatic_precision_is_one_of_the_two_and_near_the_truth(
    opened: Callable[..., OpenVinoEngine],
) -> None:
    engine = opened(precision="auto")
    assert engine.spec.precision in {"bf16", "f32"}
    depth_m = engine.infer(np.full((1, *INPUT_SIZE, 3), GREY, np.uint8), 0).depth_m
    # bf16 has eight significant bits.
    np.testing.assert_allclose(depth_m, GREY_M, rtol=2**-7)


def test_labels_are_the_second_output(opened: Callable[..., OpenVinoEngine]) -> None:
    frames = np.zeros((1, *INPUT_SIZE, 3), np.uint8)
    frames[:, :, 16:, 2] = 9
    labels = opened(labels=True).infer(frames, 0).labels
    assert labels is not None and labels.dtype == np.uint8
    assert (labels[0, :, :16] == 0).all() and (labels[0, :, 16:] == 2).all()


def test_lanes_do_not_share_their_output(opened: Callable[..., OpenVinoEngine]) -> None:
    engine = opened(lanes=2)
    assert engine.spec.lanes == 2
    first = engine.infer(np.full((1, *INPUT_SIZE, 3), GREY, np.uint8), 0).depth_m
    engine.infer(np.zeros((1, *INPUT_SIZE, 3), np.uint8), 1)
    np.testing.assert_allclose(first, GREY_M, rtol=1e-6)


def test_frames_of_a_wrong_shape_are_a_fault_of_the_batch(
    opened: Callable[..., OpenVinoEngine],
) -> None:
    engine = opened()
    with pytest.raises(EngineFault):
        engine.infer(np.zeros((1, 8, 8, 3), np.uint8), 0)
    engine.infer(np.zeros((1, *INPUT_SIZE, 3), np.uint8), 0)  # and the next one is served


def test_a_file_that_is_no_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(FathomError) as refused:
        OpenVinoEngine(path, input_size=INPUT_SIZE, outputs=("depth_m",))
    assert refused.value.code is Code.BAD_MODEL and "model.onnx" in refused.value.got


def test_a_network_that_lacks_an_output_of_its_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(path)
    with pytest.raises(FathomError) as refused:
        OpenVinoEngine(path, input_size=INPUT_SIZE, outputs=("depth_m", "labels"), precision="f32")
    assert refused.value.code is Code.BAD_MODEL and "labels" in refused.value.expected


def test_an_unknown_precision_is_refused(opened: Callable[..., OpenVinoEngine]) -> None:
    with pytest.raises(FathomError) as refused:
        opened(precision="f8")
    assert refused.value.code is Code.BAD_SETTING and "f8" in refused.value.got
