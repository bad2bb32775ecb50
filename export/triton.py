"""`config.pbtxt`: what Triton is told of a model, made from its card and read back."""

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from export.onnx import INPUT, OUTPUT
from fathom.card import Card

CONFIG_FILE = "config.pbtxt"
MAX_BATCH = 8
# Triton ignores a client's deadline unless the model sets a default one.
_QUEUE_TIMEOUT_US = 100_000


def make_config(card: Card) -> str:
    """The configuration for Triton's ONNX Runtime backend, as text that was read back."""
    height, width = card.input_size
    config = triton.ModelConfig(
        name=card.name,
        backend="onnxruntime",
        max_batch_size=MAX_BATCH,
        input=[triton.ModelInput(name=INPUT, data_type=triton.TYPE_UINT8, dims=[height, width, 3])],
        output=[triton.ModelOutput(name=OUTPUT, data_type=triton.TYPE_FP32, dims=[height, width])],
        version_policy=triton.ModelVersionPolicy(
            latest=triton.ModelVersionPolicy.Latest(num_versions=1)
        ),
        dynamic_batching=triton.ModelDynamicBatching(
            default_queue_policy=triton.ModelQueuePolicy(
                timeout_action=triton.ModelQueuePolicy.REJECT,
                default_timeout_microseconds=_QUEUE_TIMEOUT_US,
                allow_timeout_override=True,
            )
        ),
    )
    text = text_format.MessageToString(config)
    if text_format.Parse(text, triton.ModelConfig()) != config:
        raise AssertionError("a configuration must read back as it was written")
    return text
