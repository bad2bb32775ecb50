import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from export.networks import of_onnx, of_openvino, of_program
from export.onnx import halve_weights
from export.openvino import save_openvino
from export.pictures import Pictures
from export.program import export_program, save_program
from export.signature import judge_signature
from export.signature import of_onnx as onnx_signature
from export.signature import of_openvino as openvino_signature
from server.engines.torch import TorchEngine
from training.students.student import Student

TOLD = {"frames": ("TYPE_UINT8", (64, 96, 3)), "depth_m": ("TYPE_FP32", (64, 96))}


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
    student: Student, model_path: Path, pictures: Pictures
) -> None:
    frames = pictures.frames
    reference_m = student.predict(frames)
    run = of_onnx(model_path)
    np.testing.assert_allclose(run(frames).depth_m, reference_m, rtol=1e-4)
    np.testing.assert_allclose(run(frames[:1]).depth_m, reference_m[:1], rtol=1e-4)


def test_openvino_agrees_with_pytorch_in_either_of_its_files(
    student: Student, model_path: Path, pictures: Pictures, tmp_path: Path
) -> None:
    save_openvino(model_path, tmp_path / "model.xml")
    for path in (model_path, tmp_path / "model.xml"):
        found_m = of_openvino(path, "f32")(pictures.frames).depth_m
        np.testing.assert_allclose(found_m, student.predict(pictures.frames), rtol=1e-4)


def test_files_keep_the_signature_that_triton_is_told(model_path: Path, tmp_path: Path) -> None:
    save_openvino(model_path, tmp_path / "model.xml")
    assert onnx_signature(model_path) == TOLD
    assert openvino_signature(tmp_path / "model.xml") == TOLD


def test_what_differs_between_file_and_configuration_is_named(model_path: Path) -> None:
    told = TOLD | {"depth_m": ("TYPE_FP32", (48, 96)), "labels": ("TYPE_UINT8", (64, 96))}
    gate = judge_signature("onnx f32", onnx_signature(model_path), told)
    assert not gate.passed and gate.value == 2
    assert "depth_m is TYPE_FP32 [64, 96], config.pbtxt says TYPE_FP32 [48, 96]" in gate.why
    assert "labels is absent" in gate.why


def test_a_program_holds_no_pickle_and_is_what_the_torch_engine_opens(
    student: Student, pictures: Pictures, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt2"
    save_program(export_program(student), path)
    found_m = of_program(path)(pictures.frames).depth_m
    np.testing.assert_array_equal(found_m, student.predict(pictures.frames))
    engine = TorchEngine(path, input_size=(64, 96), outputs=("depth_m",), device="cpu")
    np.testing.assert_array_equal(engine.infer(pictures.frames[:1], 0).depth_m, found_m[:1])
    engine.close()


def test_halves_stay_near_and_answer_in_float32(student: Student, pictures: Pictures) -> None:
    program = export_program(student, "f16")
    weights = [p for p in program.state_dict.values() if p.is_floating_point()]
    assert sum(p.dtype == torch.float16 for p in weights) > 0.9 * len(weights)
    found_m = program.module()(torch.from_numpy(pictures.frames))[0].detach()
    assert found_m.dtype == torch.float32
    wanted_m = student.predict(pictures.frames)
    error = np.abs(found_m.numpy() - wanted_m) / wanted_m
    assert 0 < np.median(error) < 5e-3
    assert student.encoder.features[0][0].weight.dtype == torch.float32  # type: ignore[index,union-attr]


def test_halved_weights_are_half_the_file_and_move_metres_by_less_than_a_thousandth(
    student: Student, model_path: Path, pictures: Pictures, tmp_path: Path
) -> None:
    halved = tmp_path / "halved.onnx"
    halve_weights(model_path, halved)
    assert halved.stat().st_size < 0.6 * model_path.stat().st_size
    for run in (of_onnx(halved), of_openvino(halved, "f32")):
        found_m, wanted_m = run(pictures.frames).depth_m, student.predict(pictures.frames)
        assert 0 < np.median(np.abs(found_m - wanted_m) / wanted_m) < 1e-3
    properties = {p.key: p.value for p in onnx.load(halved).metadata_props}
    assert properties["fathom.name"] == "tiny"


def test_weights_beyond_f16_stay_as_they_are(model_path: Path, tmp_path: Path) -> None:
    model = onnx.load(model_path)
    large = max(model.graph.initializer, key=lambda each: math.prod(each.dims))
    values = numpy_helper.to_array(large) * np.float32(1e8)
    large.CopyFrom(numpy_helper.from_array(values, large.name))
    onnx.save(model, tmp_path / "far.onnx")
    halve_weights(tmp_path / "far.onnx", tmp_path / "halved.onnx")
    kept = {each.name: each for each in onnx.load(tmp_path / "halved.onnx").graph.initializer}
    assert np.array_equal(numpy_helper.to_array(kept[large.name]), values)
    assert any(name.endswith(".f16") for name in kept)
