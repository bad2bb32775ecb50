"""What Triton is told of a model, made from its card: one configuration for each backend that can
serve a file of it, each read back after it was written.

`config.pbtxt` is ONNX Runtime's, which every ordinary Triton has; the others lie in `configs/`, and
`tritonserver --model-config-name NAME` takes one of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from export.program import INPUT, LABELS
from fathom.card import Card, ModelFile

CONFIG_FILE, CONFIGS = "config.pbtxt", "configs"
MODEL_SOURCE = Path(__file__).with_name("model.py")
MAX_BATCH = 8
# Triton ignores a client's deadline unless the model sets a default one. Long enough for a request
# to live through the moment in which a new version starts on the same cores.
_QUEUE_TIMEOUT_US = 2_000_000
_QUEUE_DELAY_US = 2_000
_CPU, _AUTO = triton.ModelInstanceGroup.KIND_CPU, triton.ModelInstanceGroup.KIND_AUTO


def make_configs(card: Card) -> Mapping[str, str]:
    """File name, relative to the model's folder, to its text."""
    made = {}
    onnx, ir = _file(card, "onnx"), _file(card, "openvino")
    plans = [file for file in card.files if file.target == "tensorrt"]
    if onnx:
        made[CONFIG_FILE] = _config(card, "onnxruntime", onnx, _AUTO)
        made[f"{CONFIGS}/onnxruntime.pbtxt"] = made[CONFIG_FILE]
    if ir:
        made[f"{CONFIGS}/openvino.pbtxt"] = _config(card, "openvino", ir, _CPU)
    readable = ir or onnx
    if readable:
        made[f"{CONFIGS}/python.pbtxt"] = _python_config(card, readable)
    if plans:
        made[f"{CONFIGS}/tensorrt.pbtxt"] = _plan_config(card, plans)
    return {name: _text(config) for name, config in made.items()}


def signature(config: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Inputs and outputs by name: type and shape, without the batch."""
    read = text_format.Parse(config, triton.ModelConfig())
    return {
        tensor.name: (triton.DataType.Name(tensor.data_type), tuple(tensor.dims))
        for tensor in (*read.input, *read.output)
    }


def _config(
    card: Card, backend: str, file: ModelFile, kind: "triton.ModelInstanceGroup.Kind.ValueType"
) -> triton.ModelConfig:
    height, width = card.input_size
    types = {
        name: triton.TYPE_UINT8 if name == LABELS else triton.TYPE_FP32 for name in card.outputs
    }
    return triton.ModelConfig(
        name=card.name,
        backend=backend,
        max_batch_size=MAX_BATCH,
        default_model_filename=Path(file.path).name,
        input=[triton.ModelInput(name=INPUT, data_type=triton.TYPE_UINT8, dims=[height, width, 3])],
        output=[
            triton.ModelOutput(name=name, data_type=types[name], dims=[height, width])
            for name in card.outputs
        ],
        # This version and no other: the newest one is not the one that is served after a rollback.
        version_policy=triton.ModelVersionPolicy(
            specific=triton.ModelVersionPolicy.Specific(versions=[card.version])
        ),
        instance_group=[triton.ModelInstanceGroup(count=1, kind=kind)],
        dynamic_batching=triton.ModelDynamicBatching(
            max_queue_delay_microseconds=_QUEUE_DELAY_US,
            default_queue_policy=triton.ModelQueuePolicy(
                timeout_action=triton.ModelQueuePolicy.REJECT,
                default_timeout_microseconds=_QUEUE_TIMEOUT_US,
                allow_timeout_override=True,
            ),
        ),
        model_warmup=[_warm_up(size, card) for size in (1, MAX_BATCH)],
    )


def _python_config(card: Card, file: ModelFile) -> triton.ModelConfig:
    config = _config(card, "python", file, _CPU)
    config.default_model_filename = MODEL_SOURCE.name
    config.parameters["file"].string_value = Path(file.path).name
    # On a CPU a batch gains nothing, so nobody waits for one.
    config.dynamic_batching.max_queue_delay_microseconds = 0
    return config


def _plan_config(card: Card, plans: Sequence[ModelFile]) -> triton.ModelConfig:
    config = _config(card, "tensorrt", plans[0], triton.ModelInstanceGroup.KIND_GPU)
    for file in plans:
        # model.sm86.f16.plan is for compute capability 8.6
        digits = Path(file.path).name.split(".")[1].removeprefix("sm")
        capability = f"{digits[:-1]}.{digits[-1]}"
        if capability not in config.cc_model_filenames:
            config.cc_model_filenames[capability] = Path(file.path).name
    return config


def _warm_up(size: int, card: Card) -> triton.ModelWarmup:
    frames = triton.ModelWarmup.Input(
        data_type=triton.TYPE_UINT8, dims=[*card.input_size, 3], random_data=True
    )
    return triton.ModelWarmup(name=f"batch of {size}", batch_size=size, inputs={INPUT: frames})


def _file(card: Card, target: str) -> ModelFile | None:
    """Its file that computes in floating point, whatever its weights are stored in."""
    fits = (f for f in card.files if f.target == target and f.precision != "int8")
    return next((file for file in fits if not file.path.endswith(".bin")), None)


def _text(config: triton.ModelConfig) -> str:
    text = text_format.MessageToString(config)
    if text_format.Parse(text, triton.ModelConfig()) != config:
        raise AssertionError("a configuration must read back as it was written")
    return text
