from dataclasses import replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from export.triton.config import MAX_BATCH, make_configs, signature
from fathom.card import Card, ModelFile
from tests.export.test_repository import CARD


def file(name: str, target: str, precision: str) -> ModelFile:
    return ModelFile(path=f"3/{name}", target=target, precision=precision, bytes=1, sha256="0")


ONNX, IR = file("model.onnx", "onnx", "f32"), file("model.xml", "openvino", "f32")


def configs(*files: ModelFile, outputs: tuple[str, ...] = ("depth_m",)) -> dict[str, str]:
    card: Card = replace(CARD, version=3, outputs=outputs, files=files)
    return dict(make_configs(card))


def parse(text: str) -> triton.ModelConfig:
    return text_format.Parse(text, triton.ModelConfig())


def test_the_configuration_says_what_the_graph_is() -> None:
    text = configs(ONNX, outputs=("depth_m", "labels"))["config.pbtxt"]
    config = parse(text)
    assert (config.name, config.backend) == ("tiny", "onnxruntime")
    assert config.default_model_filename == "model.onnx"
    assert signature(text) == {
        "frames": ("TYPE_UINT8", (64, 96, 3)),
        "depth_m": ("TYPE_FP32", (64, 96)),
        "labels": ("TYPE_UINT8", (64, 96)),
    }


@pytest.mark.parametrize(
    ("backend", "files", "opened"),
    [
        ("onnxruntime", (ONNX,), "model.onnx"),
        ("openvino", (ONNX, IR), "model.xml"),
        ("python", (ONNX,), "model.py"),
        ("tensorrt", (ONNX, file("model.sm86.f16.plan", "tensorrt", "f16")), "model.sm86.f16.plan"),
    ],
)
def test_each_backend_that_can_serve_a_file_has_a_configuration(
    backend: str, files: tuple[ModelFile, ...], opened: str
) -> None:
    config = parse(configs(*files)[f"configs/{backend}.pbtxt"])
    assert config.backend == backend
    assert config.default_model_filename == opened


def test_what_no_file_is_for_has_no_configuration() -> None:
    names = set(configs(ONNX, file("model.rtx.f16.plan", "tensorrt-rtx", "f16")))
    assert names == {"config.pbtxt", "configs/onnxruntime.pbtxt", "configs/python.pbtxt"}


def test_the_python_backend_is_told_which_file_to_open() -> None:
    for files, opened in (((ONNX,), "model.onnx"), ((ONNX, IR), "model.xml")):
        config = parse(configs(*files)["configs/python.pbtxt"])
        assert config.parameters["file"].string_value == opened


def test_one_configuration_serves_several_kinds_of_gpu() -> None:
    plans = [file(f"model.sm{sm}.f16.plan", "tensorrt", "f16") for sm in (86, 89, 120)]
    config = parse(configs(ONNX, *plans)["configs/tensorrt.pbtxt"])
    assert dict(config.cc_model_filenames) == {
        "8.6": "model.sm86.f16.plan",
        "8.9": "model.sm89.f16.plan",
        "12.0": "model.sm120.f16.plan",
    }
    assert config.instance_group[0].kind == triton.ModelInstanceGroup.KIND_GPU


@pytest.mark.parametrize("name", ["config.pbtxt", "configs/python.pbtxt"])
def test_a_queue_has_a_timeout_that_clients_may_shorten(name: str) -> None:
    # With the default of none Triton ignores the timeout that a client sends.
    policy = parse(configs(ONNX)[name]).dynamic_batching.default_queue_policy
    assert policy.default_timeout_microseconds > 0
    assert policy.allow_timeout_override


def test_exactly_the_cards_version_is_served_and_warmed_up() -> None:
    config = parse(configs(ONNX)["config.pbtxt"])
    assert list(config.version_policy.specific.versions) == [3]
    assert [sample.batch_size for sample in config.model_warmup] == [1, MAX_BATCH]
    assert list(config.model_warmup[0].inputs["frames"].dims) == [64, 96, 3]
