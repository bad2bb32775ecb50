"""`inference.GRPCInferenceService`: the Open Inference Protocol in messages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from grpc import aio

from fathom.errors import Code, FathomError
from fathom.wire import kserve_pb2 as pb
from server.doors.grpc_decoding import undecodable
from server.doors.patience import Patience
from server.doors.v2 import EXTENSIONS, PLATFORM, SERVER, V2, Inference, Inferred, Tensor
from server.doors.v2_reflection import SERVICE, STREAMED

_TYPES = {"UINT8": pb.TYPE_UINT8, "FP32": pb.TYPE_FP32}
_Method: TypeAlias = Callable[[Any, Any], Coroutine[Any, Any, Message]]
Guarded: TypeAlias = Callable[[Any, Callable[[], Awaitable[Any]]], Awaitable[Any]]


def add_v2(server: Any, v2: V2, or_abort: Guarded, client_of: Callable[[Any], str]) -> list[str]:
    """Serve the protocol.

    or_abort   runs a handler and turns its errors into statuses
    client_of  who calls, from the call's context
    returns    the methods that take one message and give one
    """
    calls = _Calls(v2, client_of)

    def unary(method: _Method, request: type[Message]) -> "grpc.RpcMethodHandler[Any, Any]":
        async def handle(message: Any, context: Any) -> Any:
            return await or_abort(context, lambda: method(message, context))

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=request.FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )

    async def stream(_: Any, context: Any) -> None:
        await or_abort(context, lambda: calls.stream_infer(context))

    methods: dict[str, tuple[_Method, type[Message]]] = {
        "ServerLive": (calls.server_live, pb.ServerLiveRequest),
        "ServerReady": (calls.server_ready, pb.ServerReadyRequest),
        "ModelReady": (calls.model_ready, pb.ModelReadyRequest),
        "ServerMetadata": (calls.server_metadata, pb.ServerMetadataRequest),
        "ModelMetadata": (calls.model_metadata, pb.ModelMetadataRequest),
        "ModelConfig": (calls.model_config, pb.ModelConfigRequest),
        "ModelStatistics": (calls.model_statistics, pb.ModelStatisticsRequest),
        "RepositoryIndex": (calls.repository_index, pb.RepositoryIndexRequest),
        "ModelInfer": (calls.model_infer, pb.ModelInferRequest),
    }
    handlers = {name: unary(*method) for name, method in methods.items()}
    handlers[STREAMED] = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=pb.ModelInferRequest.FromString,
        response_serializer=pb.ModelStreamInferResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return list(methods)


class _Calls:
    def __init__(self, v2: V2, client_of: Callable[[Any], str]) -> None:
        self._v2 = v2
        self._client_of = client_of

    async def server_live(self, _: Any, __: Any) -> Message:
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _: Any, __: Any) -> Message:
        return pb.ServerReadyResponse(ready=self._v2.service.ready())

    async def model_ready(self, request: pb.ModelReadyRequest, _: Any) -> Message:
        return pb.ModelReadyResponse(ready=self._v2.ready(request.name, request.version))

    async def server_metadata(self, _: Any, __: Any) -> Message:
        return pb.ServerMetadataResponse(
            name=SERVER, version=self._v2.server_version, extensions=EXTENSIONS
        )

    async def model_metadata(self, request: pb.ModelMetadataRequest, _: Any) -> Message:
        model = self._v2.model(request.name, request.version)
        return pb.ModelMetadataResponse(
            name=model.card.name,
            versions=[str(model.card.version)],
            platform=PLATFORM,
            inputs=[_metadata(tensor) for tensor in self._v2.inputs(model)],
            outputs=[_metadata(tensor) for tensor in self._v2.outputs(model)],
        )

    async def model_config(self, request: pb.ModelConfigRequest, _: Any) -> Message:
        model = self._v2.model(request.name, request.version)
        config = pb.ModelConfig(
            name=model.card.name,
            platform=PLATFORM,
            backend=PLATFORM,
            max_batch_size=self._v2.max_batch,
        )
        for tensor in self._v2.inputs(model):
            config.input.add(
                name=tensor.name, data_type=_TYPES[tensor.datatype], dims=tensor.shape[1:]
            )
        for tensor in self._v2.outputs(model):
            config.output.add(
                name=tensor.name, data_type=_TYPES[tensor.datatype], dims=tensor.shape[1:]
            )
        config.instance_group.add(name="lanes", count=model.engine.spec.lanes)
        return pb.ModelConfigResponse(config=config)

    async def model_statistics(self, request: pb.ModelStatisticsRequest, _: Any) -> Message:
        reply = pb.ModelStatisticsResponse()
        for model, counted in self._v2.statistics(request.name, request.version).items():
            said = reply.model_stats.add(
                name=model.card.name,
                version=str(model.card.version),
                inference_count=counted.inferences,
                execution_count=round(counted.executions),
            )
            said.inference_stats.success.count = counted.inferences
            said.inference_stats.success.ns = counted.success_ns
            said.inference_stats.fail.count = counted.failures
            for name, stage_ns in counted.stages_ns.items():
                duration = getattr(said.inference_stats, name)
                duration.count, duration.ns = counted.inferences, stage_ns
        return reply

    async def repository_index(self, request: pb.RepositoryIndexRequest, _: Any) -> Message:
        reply = pb.RepositoryIndexResponse()
        for model in self._v2.service.models:
            ready = self._v2.ready(model.card.name)
            if ready or not request.ready:
                reply.models.add(
                    name=model.card.name,
                    version=str(model.card.version),
                    state="READY" if ready else "UNAVAILABLE",
                )
        return reply

    async def model_infer(self, request: pb.ModelInferRequest, context: Any) -> Message:
        left_s: float | None = context.time_remaining()
        inferred = await self._v2.infer(_inference(request, left_s), self._client_of(context))
        return _response(request.id, inferred)

    async def stream_infer(self, context: Any) -> None:
        """Answer each request of a stream when it is done; its id says which one it was."""
        room, one_at_a_time = asyncio.Semaphore(self._v2.at_once), asyncio.Lock()
        async with asyncio.TaskGroup() as under_way:
            async for request in self._requests(context):
                if isinstance(request, FathomError):
                    ended = request
                    break
                await room.acquire()
                task = under_way.create_task(self._answer(request, context, one_at_a_time))
                task.add_done_callback(lambda _: room.release())
            else:
                return
        raise ended  # here, where no group of tasks wraps it

    async def _requests(self, context: Any) -> AsyncIterator[pb.ModelInferRequest | FathomError]:
        """What the client sends; last the error of one that sends nothing, or no request."""
        patience = Patience(self._v2.service.entry.idle_stream_s)
        try:
            while True:
                with patience:
                    request = await context.read()
                if request is aio.EOF:  # type: ignore[attr-defined]  # the stubs lag behind grpcio
                    return
                yield request
        except TimeoutError:
            yield self._v2.service.idle()
        except DecodeError as error:
            yield undecodable(error)
        finally:
            patience.close()

    async def _answer(
        self, request: pb.ModelInferRequest, context: Any, one_at_a_time: asyncio.Lock
    ) -> None:
        reply = pb.ModelStreamInferResponse()
        try:
            inferred = await self._v2.infer(_inference(request, None), self._client_of(context))
            reply.infer_response.CopyFrom(_response(request.id, inferred))
        except FathomError as error:
            reply.error_message = str(error)
            reply.infer_response.id = request.id
        # gRPC takes no second message while it writes one, and none for a client that has left.
        async with one_at_a_time:
            with suppress(aio.InternalError):
                await context.write(reply)


def _metadata(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
    )


def _inference(request: pb.ModelInferRequest, left_s: float | None) -> Inference:
    """Read a request; raises BAD_REQUEST for one that has not exactly one input."""
    if len(request.inputs) != 1 or len(request.raw_input_contents) > 1:
        raise FathomError(
            Code.BAD_REQUEST,
            expected="one input",
            got=f"{len(request.inputs)} inputs, {len(request.raw_input_contents)} raw contents",
            repair="send the frames alone",
        )
    [sent] = request.inputs
    if "shared_memory_region" in sent.parameters:
        raise FathomError(
            Code.NOT_AVAILABLE,
            expected="frames in the request",
            got="a region of shared memory",
            repair="send raw contents: this server maps no memory that a client names",
        )
    try:
        data = (request.raw_input_contents or [bytes(sent.contents.uint_contents)])[0]
    except ValueError:
        data = b""  # numbers past 255; refused with the size that was expected
    timeout_us = request.parameters["timeout"].int64_param if "timeout" in request.parameters else 0
    asked_s = timeout_us / 1e6 if timeout_us > 0 else None
    known_s = [each_s for each_s in (asked_s, left_s) if each_s is not None]
    return Inference(
        model=request.model_name,
        version=request.model_version,
        input=Tensor(sent.name, sent.datatype, tuple(sent.shape)),
        data=data,
        outputs=tuple(output.name for output in request.outputs),
        timeout_s=min(known_s, default=None),
    )


def _response(request_id: str, inferred: Inferred) -> pb.ModelInferResponse:
    reply = pb.ModelInferResponse(
        model_name=inferred.model, model_version=str(inferred.version), id=request_id
    )
    for tensor, data in inferred.outputs:
        reply.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        reply.raw_output_contents.append(data)
    return reply
