from pathlib import Path

import numpy as np
import onnx

from export.gates import onnx_predictor, openvino_predictor, read_frames
from training.students.student import Student


def test_the_graph_takes_pixels_and_gives_metres_with_a_free_batch(model_path: Path) -> None:
    model = onnx.load(model_path)
    (frames,), (depth,) = model.graph.input, model.graph.output
    assert frames.name == "frames"
    assert frames.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    shape = [d.dim_value or d.dim_param for d in frames.type.tensor_type.shape.dim]
    assert shape[1:] == [64, 96, 3] and isinstance(shape[0], str)
    assert depth.name == "depth_m"
    assert depth.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_pixels_are_cast_before_they_are_transposed(model_path: Path) -> None:
    # TensorRT does not parse a transpose of uint8.
    model = onnx.load(model_path)
    first = next(node for node in model.graph.node if "frames" in node.input)
    assert first.op_type == "Cast"


def test_metadata_travels_inside_the_file(model_path: Path) -> None:
    properties = {p.key: p.value for p in onnx.load(model_path).metadata_props}
    assert properties["fathom.name"] == "tiny"


def test_onnx_runtime_agrees_with_pytorch_for_every_batch_size(
    student: Student, model_path: Path, photos: Path
) -> None:
    frames = read_frames(photos, student.network_size)
    reference_m = student.predict(frames)
    predict = onnx_predictor(model_path)
    np.testing.assert_allclose(predict(frames), reference_m, rtol=1e-4)
    np.testing.assert_allclose(predict(frames[:1]), reference_m[:1], rtol=1e-4)


def test_openvino_in_float32_agrees_with_pytorch(
    student: Student, model_path: Path, photos: Path
) -> None:
    frames = read_frames(photos, student.network_size)
    predicted_m = openvino_predictor(model_path, "f32")(frames)
    np.testing.assert_allclose(predicted_m, student.predict(frames), rtol=1e-4)
