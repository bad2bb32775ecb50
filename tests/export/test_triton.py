from dataclasses import replace

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from export.triton import make_config
from server.engines.null import CARD


def test_the_configuration_says_what_the_graph_is() -> None:
    card = replace(CARD, name="tiny", input_size=(64, 96))
    config = text_format.Parse(make_config(card), triton.ModelConfig())
    assert config.name == "tiny"
    assert config.backend == "onnxruntime"
    assert list(config.input[0].dims) == [64, 96, 3]
    assert config.input[0].data_type == triton.TYPE_UINT8
    assert list(config.output[0].dims) == [64, 96]


def test_a_queue_has_a_timeout_that_clients_may_shorten() -> None:
    # With the default of none Triton ignores the timeout that a client sends.
    config = text_format.Parse(make_config(CARD), triton.ModelConfig())
    policy = config.dynamic_batching.default_queue_policy
    assert policy.default_timeout_microseconds > 0
    assert policy.allow_timeout_override
