"""`/v2`: the Open Inference Protocol over HTTP, with Triton's binary tensors."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from fathom.errors import Code, FathomError
from server.doors.body import read_bounded
from server.doors.problem import ProblemResponse
from server.doors.v2 import EXTENSIONS, PLATFORM, SERVER, V2, Inference, Inferred, Tensor
from server.security.address import client_of

_HEADER_LENGTH = "Inference-Header-Content-Length"
_DTYPES = {"UINT8": "u1", "FP32": "<f4"}


def v2_router(v2: V2) -> APIRouter:
    """All routes of the protocol; their errors are the table's, with the protocol's own `error`."""
    router = APIRouter(prefix="/v2", include_in_schema=False)

    @router.get("")
    async def server() -> JSONResponse:
        return JSONResponse(
            {"name": SERVER, "version": v2.server_version, "extensions": list(EXTENSIONS)}
        )

    @router.get("/health/live")
    async def live() -> Response:
        return Response()

    @router.get("/health/ready")
    async def ready() -> Response:
        return Response(status_code=200 if v2.service.ready() else 400)

    @router.post("/repository/index")
    async def index() -> JSONResponse:
        return JSONResponse(
            [
                {
                    "name": model.card.name,
                    "version": str(model.card.version),
                    "state": "READY" if v2.ready(model.card.name) else "UNAVAILABLE",
                }
                for model in v2.service.models
            ]
        )

    @router.get("/models/stats")
    async def all_statistics() -> JSONResponse:
        return JSONResponse(_statistics(v2, "", ""))

    for path in ("/models/{name}", "/models/{name}/versions/{version}"):
        _add_model_routes(router, v2, path)
    return router


def _add_model_routes(router: APIRouter, v2: V2, path: str) -> None:
    @router.get(path)
    async def metadata(name: str, version: str = "") -> Response:
        return _answer(lambda: _metadata(v2, name, version))

    @router.get(f"{path}/ready")
    async def ready(name: str, version: str = "") -> Response:
        return Response(status_code=200 if v2.ready(name, version) else 400)

    @router.get(f"{path}/config")
    async def config(name: str, version: str = "") -> Response:
        return _answer(lambda: _config(v2, name, version))

    @router.get(f"{path}/stats")
    async def statistics(name: str, version: str = "") -> Response:
        return _answer(lambda: _statistics(v2, name, version))

    @router.post(f"{path}/infer")
    async def infer(request: Request, name: str, version: str = "") -> Response:
        try:
            v2.model(name, version)  # before a byte of the body is read
            body = await read_bounded(request, v2.service.limits.image_bytes)
            length = request.headers.get(_HEADER_LENGTH)
            # In a thread: a tensor as JSON takes longer than the event loop may be held up.
            asked = await asyncio.to_thread(_read, body, length)
            inference = _inference(asked, name, version)
            client = client_of(request.client.host if request.client else "")
            inferred = await v2.infer(inference, client)
            return await asyncio.to_thread(_response, asked.head, inferred)
        except FathomError as error:
            return _problem(error)


class _Asked:
    """A request's JSON, and the binary tensor that may stand behind it."""

    def __init__(self, head: dict[str, Any], binary: bytes) -> None:
        self.head = head
        self.binary = binary


def _read(body: bytes, length: str | None) -> _Asked:
    end = int(length) if length is not None and length.isdecimal() else len(body)
    try:
        head = json.loads(body[:end])
    except (ValueError, RecursionError) as error:
        raise _bad("a JSON object", f"{type(error).__name__}") from error
    if not isinstance(head, dict) or end > len(body):
        raise _bad("a JSON object of the length that the header says", type(head).__name__)
    return _Asked(head, body[end:])


def _inference(asked: _Asked, name: str, version: str) -> Inference:
    """Read a request; raises BAD_REQUEST for one that has not exactly one input."""
    try:
        [sent] = asked.head["inputs"]
        tensor = Tensor(str(sent["name"]), str(sent["datatype"]), tuple(map(int, sent["shape"])))
        parameters = sent.get("parameters", {})
        if "shared_memory_region" in parameters:
            raise FathomError(
                Code.NOT_AVAILABLE,
                expected="frames in the request",
                got="a region of shared memory",
                repair="send binary data: this server maps no memory that a client names",
            )
        if "binary_data_size" in parameters:
            data = asked.binary[: int(parameters["binary_data_size"])]
        else:
            data = bytes(np.ravel(np.asarray(sent["data"], dtype=object)).tolist())
        outputs = tuple(str(output["name"]) for output in asked.head.get("outputs", ()))
        timeout_us = int(asked.head.get("parameters", {}).get("timeout", 0))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _bad("one input with name, datatype, shape and data", repr(error)[:200]) from error
    return Inference(
        model=name,
        version=version,
        input=tensor,
        data=data,
        outputs=outputs,
        timeout_s=timeout_us / 1e6 if timeout_us > 0 else None,
    )


def _response(head: Mapping[str, Any], inferred: Inferred) -> Response:
    """The answer: tensors as JSON, or behind it where the request says so."""
    default = bool(_parameters(head).get("binary_data_output", False))
    asked = {output["name"]: _parameters(output) for output in head.get("outputs", ())}
    outputs, binaries = [], []
    for tensor, data in inferred.outputs:
        said: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if asked.get(tensor.name, {}).get("binary_data", default):
            said["parameters"] = {"binary_data_size": len(data)}
            binaries.append(data)
        else:
            said["data"] = np.frombuffer(data, _DTYPES[tensor.datatype]).tolist()
        outputs.append(said)
    body = json.dumps(
        {
            "model_name": inferred.model,
            "model_version": str(inferred.version),
            "outputs": outputs,
        }
        | ({"id": head["id"]} if "id" in head else {})
    ).encode()
    if not binaries:
        return Response(body, media_type="application/json")
    return Response(
        b"".join([body, *binaries]),
        media_type="application/octet-stream",
        headers={_HEADER_LENGTH: str(len(body))},
    )


def _parameters(part: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = part.get("parameters", {})
    return parameters if isinstance(parameters, dict) else {}


def _metadata(v2: V2, name: str, version: str) -> dict[str, Any]:
    model = v2.model(name, version)
    return {
        "name": model.card.name,
        "versions": [str(model.card.version)],
        "platform": PLATFORM,
        "inputs": _tensors(v2.inputs(model)),
        "outputs": _tensors(v2.outputs(model)),
    }


def _tensors(tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
    return [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in tensors]


def _config(v2: V2, name: str, version: str) -> dict[str, Any]:
    model = v2.model(name, version)
    return {
        "name": model.card.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": v2.max_batch,
        "input": [_configured(tensor) for tensor in v2.inputs(model)],
        "output": [_configured(tensor) for tensor in v2.outputs(model)],
        "instance_group": [{"name": "lanes", "count": model.engine.spec.lanes}],
    }


def _configured(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "data_type": f"TYPE_{tensor.datatype}",
        "dims": list(tensor.shape[1:]),
    }


def _statistics(v2: V2, name: str, version: str) -> dict[str, Any]:
    return {
        "model_stats": [
            {
                "name": model.card.name,
                "version": str(model.card.version),
                "inference_count": counted.inferences,
                "execution_count": round(counted.executions),
                "inference_stats": {
                    "success": {"count": counted.inferences, "ns": counted.success_ns},
                    "fail": {"count": counted.failures, "ns": 0},
                }
                | {
                    stage: {"count": counted.inferences, "ns": stage_ns}
                    for stage, stage_ns in counted.stages_ns.items()
                },
            }
            for model, counted in v2.statistics(name, version).items()
        ]
    }


def _answer(make: Callable[[], Any]) -> Response:
    try:
        return JSONResponse(make())
    except FathomError as error:
        return _problem(error)


def _problem(error: FathomError) -> Response:
    """Problem details, as everywhere, and the one member that clients of the protocol read."""
    problem = ProblemResponse(error)
    body = json.loads(bytes(problem.body)) | {"error": str(error)}
    return JSONResponse(body, problem.status_code, media_type=problem.media_type)


def _bad(expected: str, got: str) -> FathomError:
    return FathomError(
        Code.BAD_REQUEST,
        expected=expected,
        got=got,
        repair="see the Open Inference Protocol, or use a client that is made for it",
    )
