"""Clients written for Triton, unchanged, against this server: what `Predict` gives, they get."""

from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from numpy.typing import NDArray

from fathom.session.sync import Client
from fathom.values import DepthEncoding, Options
from tests.acceptance.conftest import RunningServer
from tests.server.conftest import png
from tests.server.tiny_model import INPUT_SIZE

FRAMES = np.random.default_rng(5).integers(0, 256, (3, *INPUT_SIZE, 3)).astype(np.uint8)


@pytest.fixture(params=["gRPC", "HTTP"])
def triton(request: pytest.FixtureRequest, tiny_server: RunningServer) -> Any:
    """(the client's module, a client)"""
    if request.param == "gRPC":
        return over_grpc, over_grpc.InferenceServerClient(tiny_server.grpc_target)
    address = tiny_server.http_url.removeprefix("http://")
    return over_http, over_http.InferenceServerClient(address)


def predicted(server: RunningServer, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    with Client(server.grpc_target) as client:
        options = Options(depth_encoding=DepthEncoding.F32_M)
        return client.predict(png(frame).data, options=options).depth_m


@pytest.mark.parametrize("count", [1, 3])
def test_the_stock_client_gets_what_predict_gives(
    triton: Any, tiny_server: RunningServer, count: int
) -> None:
    module, client = triton
    assert client.is_server_ready() and client.is_model_ready("tiny")
    tensor = module.InferInput("frames", [count, *INPUT_SIZE, 3], "UINT8")
    tensor.set_data_from_numpy(FRAMES[:count])
    depth_m = client.infer("tiny", [tensor]).as_numpy("depth_m")
    assert depth_m.shape == (count, *INPUT_SIZE)
    for k in range(count):
        assert np.array_equal(depth_m[k], predicted(tiny_server, FRAMES[k]))
    client.close()


def test_the_stock_client_is_told_what_was_wrong(triton: Any) -> None:
    module, client = triton
    tensor = module.InferInput("frames", [1, 8, 8, 3], "UINT8")
    tensor.set_data_from_numpy(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(module.InferenceServerException, match="expected frames UINT8"):
        client.infer("tiny", [tensor])
    client.close()
