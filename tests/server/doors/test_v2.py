"""The Open Inference Protocol on both doors: the frames of everybody else, and their errors."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from fathom.errors import STATUS, Code
from server.engines.engine import EngineFault
from tests.server.conftest import CARD, INPUT_SIZE, PATIENCE_S, ramp
from tests.server.doors.conftest import LIMITS, House, Web, Wire

HEIGHT, WIDTH = INPUT_SIZE


@pytest.fixture
def client(wire: Wire) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(wire.target) as client:
        yield client


def frames(count: int = 1) -> NDArray[np.uint8]:
    shape = (count, *INPUT_SIZE, 3)
    return np.random.default_rng(count).integers(0, 256, shape).astype(np.uint8)


def sent(array: NDArray[Any], name: str = "frames", datatype: str = "UINT8") -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def post(web: Web, body: object, path: str = "/v2/models/ramp/infer") -> httpx.Response:
    return web.ask("POST", path, content=json.dumps(body).encode())


def asked(array: NDArray[np.uint8], **more: object) -> dict[str, object]:
    tensor = {
        "name": "frames",
        "datatype": "UINT8",
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
    }
    return {"inputs": [tensor]} | more


def test_the_server_says_what_it_is(client: triton.InferenceServerClient, web: Web) -> None:
    assert client.is_server_live() and client.is_server_ready()
    said = client.get_server_metadata(as_json=True)
    assert said == web.get("/v2").json() and said["name"] == "fathom"
    assert web.get("/v2/health/live").status_code == 200
    assert web.get("/v2/health/ready").status_code == 200


def test_a_server_that_is_not_ready_says_so(
    client: triton.InferenceServerClient, web: Web, house: House
) -> None:
    house.ready = False
    assert client.is_server_live() and not client.is_server_ready()
    assert not client.is_model_ready("ramp")
    assert web.get("/v2/health/ready").status_code == 400
    assert web.get("/v2/models/ramp/ready").status_code == 400
    states = [model.state for model in client.get_model_repository_index().models]
    assert states == ["UNAVAILABLE"] * 2


def test_a_model_says_what_it_takes_and_gives(
    client: triton.InferenceServerClient, web: Web
) -> None:
    said = web.get("/v2/models/ramp").json()
    assert said["versions"] == [str(CARD.version)]
    assert said["inputs"] == [
        {"name": "frames", "datatype": "UINT8", "shape": [-1, HEIGHT, WIDTH, 3]}
    ]
    assert [output["name"] for output in said["outputs"]] == ["depth_m", "labels"]
    over_grpc = client.get_model_metadata("ramp")
    assert [list(tensor.shape) for tensor in over_grpc.outputs] == [[-1, HEIGHT, WIDTH]] * 2
    config = client.get_model_config("ramp").config
    assert config.max_batch_size == LIMITS.waiting_frames
    assert list(config.input[0].dims) == [HEIGHT, WIDTH, 3]
    assert web.get("/v2/models/ramp/config").json()["max_batch_size"] == config.max_batch_size
    assert web.get("/v2/models/ramp/versions/3").json() == said
    names = [model["name"] for model in web.ask("POST", "/v2/repository/index").json()]
    assert names == ["ramp", "plain"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_over_grpc_is_computed_frame_by_frame(
    client: triton.InferenceServerClient, house: House, count: int
) -> None:
    batch = frames(count)
    result = client.infer("ramp", [sent(batch)], request_id="mine")
    depth_m, labels = result.as_numpy("depth_m"), result.as_numpy("labels")
    assert depth_m.shape == labels.shape == (count, *INPUT_SIZE)
    assert all(np.array_equal(each_m, ramp()) for each_m in depth_m)
    assert set(np.unique(labels)) == {1, 2}
    response = result.get_response()
    assert (response.id, response.model_version) == ("mine", str(CARD.version))
    if count == 1:
        assert np.array_equal(house.engine.seen, batch)  # the very pixels, nothing resized


def test_only_the_outputs_that_are_wanted_come(client: triton.InferenceServerClient) -> None:
    wanted = [triton.InferRequestedOutput("labels")]
    result = client.infer("ramp", [sent(frames())], outputs=wanted)
    assert result.as_numpy("depth_m") is None and result.as_numpy("labels") is not None


@pytest.mark.parametrize("binary", [False, True], ids=["JSON", "binary"])
def test_a_batch_over_http_gives_the_same(web: Web, binary: bool) -> None:
    body = asked(frames(2), id="mine", parameters={"binary_data_output": binary})
    answer = post(web, body)
    assert answer.status_code == 200, answer.text
    end = int(answer.headers.get("Inference-Header-Content-Length", len(answer.content)))
    head = json.loads(answer.content[:end])
    assert (head["id"], head["model_name"], head["model_version"]) == ("mine", "ramp", "3")
    depth = head["outputs"][0]
    if binary:
        data = answer.content[end : end + depth["parameters"]["binary_data_size"]]
        depth_m = np.frombuffer(data, "<f4")
    else:
        depth_m = np.asarray(depth["data"], np.float32)
    assert np.array_equal(depth_m.reshape(depth["shape"]), np.stack([ramp()] * 2))


def test_a_stream_answers_every_request_and_names_it(
    client: triton.InferenceServerClient,
) -> None:
    arrived: list[tuple[Any, Any]] = []
    client.start_stream(lambda result, error: arrived.append((result, error)))
    for k in range(40):
        batch = frames() if k != 3 else np.zeros((1, 2, 2, 3), np.uint8)
        client.async_stream_infer("ramp", [sent(batch)], request_id=str(k))
    client.stop_stream()  # waits for the answers
    good = {result.get_response().id for result, error in arrived if error is None}
    errors = [error for _, error in arrived if error is not None]
    assert good == {str(k) for k in range(40) if k != 3}
    assert len(errors) == 1 and "bad_request" in str(errors[0])


@pytest.mark.parametrize(
    ("model", "tensor", "code"),
    [
        ("nobody", sent(frames()), Code.UNKNOWN_MODEL),
        ("ramp", sent(np.zeros((1, 8, 8, 3), np.uint8)), Code.BAD_REQUEST),
        ("ramp", sent(np.zeros((9, *INPUT_SIZE, 3), np.uint8)), Code.BAD_REQUEST),
        ("ramp", sent(np.zeros((0, *INPUT_SIZE, 3), np.uint8)), Code.BAD_REQUEST),
        ("ramp", sent(frames(), name="image"), Code.BAD_REQUEST),
        ("ramp", sent(frames().astype(np.float32), datatype="FP32"), Code.BAD_REQUEST),
    ],
    ids=["model", "size", "too many", "none", "name", "type"],
)
def test_what_is_wrong_is_told_from_the_one_table(
    client: triton.InferenceServerClient, model: str, tensor: triton.InferInput, code: Code
) -> None:
    with pytest.raises(InferenceServerException) as refused:
        client.infer(model, [tensor])
    assert refused.value.status() == f"StatusCode.{STATUS[code].grpc}"
    assert refused.value.message().startswith(str(code))


def test_another_version_is_not_pretended_to_be_there(
    client: triton.InferenceServerClient, web: Web
) -> None:
    with pytest.raises(InferenceServerException, match="unknown_model"):
        client.infer("ramp", [sent(frames())], model_version="2")
    assert not client.is_model_ready("ramp", "2")
    assert web.get("/v2/models/ramp/versions/2").status_code == 404


def test_memory_that_a_client_names_is_not_mapped(
    client: triton.InferenceServerClient, web: Web
) -> None:
    tensor = triton.InferInput("frames", [1, *INPUT_SIZE, 3], "UINT8")
    tensor.set_shared_memory("theirs", HEIGHT * WIDTH * 3)
    with pytest.raises(InferenceServerException, match="not_available"):
        client.infer("ramp", [tensor])
    with pytest.raises(InferenceServerException):
        client.register_system_shared_memory("theirs", "/etc", 10)
    body = asked(frames())
    body["inputs"][0]["parameters"] = {"shared_memory_region": "theirs"}  # type: ignore[index]
    assert post(web, body).json()["code"] == Code.NOT_AVAILABLE


def without(key: str) -> Callable[[dict[str, Any]], object]:
    def change(body: dict[str, Any]) -> object:
        del body["inputs"][0][key]
        return body

    return change


def with_(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(body: dict[str, Any]) -> object:
        body["inputs"][0][key] = value
        return body

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: {},
        lambda _: {"inputs": "frames"},
        lambda body: {"inputs": body["inputs"] * 2},
        without("name"),
        without("data"),
        with_("shape", "all of it"),
        with_("shape", [1, HEIGHT, WIDTH, 3, 1]),
        with_("data", [256] * (HEIGHT * WIDTH * 3)),
        with_("data", [0.5] * (HEIGHT * WIDTH * 3)),
        with_("data", [0]),
        with_("parameters", {"binary_data_size": 7}),
    ],
    ids=range(12),
)
def test_a_body_that_is_no_request_is_refused(
    web: Web, change: Callable[[dict[str, Any]], object]
) -> None:
    answer = post(web, change(asked(frames())))
    assert answer.status_code == STATUS[Code.BAD_REQUEST].http
    said = answer.json()
    assert said["code"] == Code.BAD_REQUEST
    assert said["error"] == said["detail"]  # what clients of the protocol read


def test_a_body_that_is_nested_without_end_is_refused(web: Web) -> None:
    answer = web.ask("POST", "/v2/models/ramp/infer", content=b"[" * 20_000)
    assert answer.status_code == STATUS[Code.BAD_REQUEST].http


def test_a_body_past_the_limit_is_refused(web: Web) -> None:
    answer = web.ask("POST", "/v2/models/ramp/infer", content=bytes(LIMITS.image_bytes + 1))
    assert answer.status_code == STATUS[Code.IMAGE_TOO_LARGE].http


def test_an_engine_fault_reaches_the_caller(
    client: triton.InferenceServerClient, web: Web, house: House
) -> None:
    house.engine.fates.append(EngineFault("out of memory"))
    with pytest.raises(InferenceServerException, match="engine_fault"):
        client.infer("ramp", [sent(frames())])
    house.engine.fates.append(EngineFault("out of memory"))
    assert post(web, asked(frames())).json()["code"] == Code.ENGINE_FAULT
    stats = client.get_inference_statistics("ramp").model_stats[0].inference_stats
    assert (stats.success.count, stats.fail.count) == (0, 2)


def test_a_deadline_is_kept(client: triton.InferenceServerClient, house: House) -> None:
    house.engine.hold()
    with pytest.raises(InferenceServerException, match=r"deadline_passed|Deadline Exceeded"):
        client.infer("ramp", [sent(frames())], timeout=20_000, client_timeout=PATIENCE_S)
    house.engine.release()


def test_statistics_count_frames_on_both_doors(
    client: triton.InferenceServerClient, web: Web
) -> None:
    client.infer("ramp", [sent(frames(3))])
    post(web, asked(frames()))
    [stats] = client.get_inference_statistics("ramp").model_stats
    assert stats.inference_count == stats.inference_stats.success.count == 4
    assert stats.inference_stats.compute_infer.count == 4
    over_http = web.get("/v2/models/ramp/stats").json()["model_stats"][0]
    assert over_http["inference_count"] == 4
    assert len(web.get("/v2/models/stats").json()["model_stats"]) == 2
