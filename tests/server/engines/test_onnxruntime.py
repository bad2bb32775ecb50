"""ONNX Runtime takes what `python -m export` writes, and says no to the rest by name."""

from pathlib import Path

import pytest

from fathom.errors import Code, FathomError
from server.engines.onnxruntime import OnnxRuntimeEngine
from tests.server.tiny_model import INPUT_SIZE


def refused(path: Path, **given: object) -> FathomError:
    settings = {"input_size": INPUT_SIZE, "outputs": ("depth_m",)} | given
    with pytest.raises(FathomError) as caught:
        OnnxRuntimeEngine(path, **settings)  # type: ignore[arg-type]
    assert caught.value.repair
    return caught.value


def test_a_file_that_is_no_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a network")
    error = refused(path)
    assert error.code is Code.BAD_MODEL and "model.onnx" in error.got


def test_a_network_that_lacks_an_output_of_its_card_is_refused(onnx_path: Path) -> None:
    error = refused(onnx_path, outputs=("depth_m", "normals"))
    assert error.code is Code.BAD_MODEL and "normals" in error.got


def test_a_network_of_another_size_than_its_card_is_refused(onnx_path: Path) -> None:
    error = refused(onnx_path, input_size=(256, 320))
    assert error.code is Code.BAD_MODEL and "(N, 256, 320, 3)" in error.expected


def test_a_precision_that_the_file_has_not_is_refused(onnx_path: Path) -> None:
    error = refused(onnx_path, precision="bf16")
    assert error.code is Code.BAD_SETTING and error.got == "bf16"


def test_on_a_processor_it_computes_one_frame_at_a_time(onnx_path: Path) -> None:
    engine = OnnxRuntimeEngine(onnx_path, input_size=INPUT_SIZE, outputs=("depth_m",))
    assert (engine.spec.device, engine.spec.max_batch, engine.spec.overlap) == ("cpu", 1, False)
    engine.close()
