"""The gRPC door: `fathom.v1.Depth`, health and reflection. Knows messages, no frame's fate."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]  # no stubs
from grpc_reflection.v1alpha import reflection, reflection_pb2

from fathom.errors import Code, FathomError
from fathom.values import Frame, OpenStream
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import (
    answer_to_wire,
    closing_to_wire,
    image_from_wire,
    open_from_wire,
    opened_to_wire,
    options_from_wire,
)
from fathom.wire.depth_pb2_grpc import DepthServicer, add_DepthServicer_to_server
from fathom.wire.describe import description_to_wire
from fathom.wire.numbers import to_s
from server.doors.grpc_abort import abort
from server.doors.grpc_decoding import DecodingInterceptor, undecodable
from server.doors.grpc_gate import GateInterceptor
from server.doors.patience import Patience
from server.doors.traced import TracedInterceptor
from server.doors.v2 import V2
from server.doors.v2_grpc import add_v2
from server.doors.v2_reflection import SERVICE as V2_SERVICE
from server.doors.v2_reflection import pool_with
from server.ports import taken
from server.security.address import client_of_peer
from server.security.tls import Identity, grpc_credentials
from server.service import Service, client_left, closing
from server.streams import Stream

_log = logging.getLogger("fathom.server.grpc")

SERVICE = pb.DESCRIPTOR.services_by_name["Depth"].full_name
# Room for everything of a message that is not the image.
_MESSAGE_SLACK_BYTES = 64 * 2**10


# Calls at once, of all kinds and clients: far more than streams and pictures may be, and bounded.
_CALLS = 1024
# For Open; whoever calls and says nothing does not hold a call for ever.
_OPEN_WITHIN_S = 10.0
_CONNECTION_OPTIONS = (
    # A peer whose machine is gone is found out by a ping, in a minute; gRPC's own default is hours.
    ("grpc.keepalive_time_ms", 40_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client may do the same, at most so often; one that pings faster is cut off.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.max_concurrent_streams", 256),
    ("grpc.max_metadata_size", 16 * 2**10),
    # For TLS and HTTP/2 to be agreed on.
    ("grpc.server_handshake_timeout_ms", 10_000),
)


class GrpcDoor:
    """One listening gRPC server.

    identity  the newest certificate, asked for at each handshake; None serves without TLS
    shared    whether other processes may listen on this port too; else that is a mistake
    """

    def __init__(
        self,
        service: Service,
        *,
        address: str,
        identity: Callable[[], Identity] | None = None,
        shared: bool = False,
    ) -> None:
        gate = service.entry.gate
        self._server = aio.server(
            interceptors=[
                *([GateInterceptor(gate)] if gate.asks else []),
                *([TracedInterceptor()] if service.spans else []),
                DecodingInterceptor(),
            ],
            maximum_concurrent_rpcs=_CALLS,
            options=(
                *_CONNECTION_OPTIONS,
                (
                    "grpc.max_receive_message_length",
                    service.limits.image_bytes + _MESSAGE_SLACK_BYTES,
                ),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", int(shared)),
            ),
        )
        add_DepthServicer_to_server(_Depth(service), self._server)
        v2_methods = add_v2(self._server, V2(service), _or_abort, _client)
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        files = (pb.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
        names = [service.full_name for file in files for service in file.services_by_name.values()]
        pool = pool_with(files, v2_methods)
        reflection.enable_server_reflection([*names, V2_SERVICE], self._server, pool)
        try:
            if identity is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, grpc_credentials(identity))
        except RuntimeError as error:
            raise taken("gRPC", address, "one that cannot be bound") from error

    async def start(self) -> None:
        await self._server.start()

    async def set_ready(self, ready: bool) -> None:
        """What the standard health service says, for the server and for the service."""
        status = health_pb2.HealthCheckResponse.SERVING
        if not ready:
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """Let calls end by themselves for so long, then close."""
        await self._server.stop(grace_s)


class _Depth(DepthServicer):
    def __init__(self, service: Service) -> None:
        self._service = service

    async def Describe(  # noqa: N802
        self,
        request: pb.DescribeRequest,  # noqa: ARG002
        context: Any,  # noqa: ARG002
    ) -> pb.DescribeReply:
        return description_to_wire(self._service.description)

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.Answer:  # noqa: N802
        answer: pb.Answer = await _or_abort(context, lambda: self._predict(request, context))
        return answer

    async def Stream(  # type: ignore[override]  # noqa: N802 - it reads and writes by context
        self,
        request_iterator: Any,  # noqa: ARG002
        context: Any,
    ) -> None:
        await _or_abort(context, lambda: self._stream(context))

    async def _predict(self, request: pb.PredictRequest, context: Any) -> pb.Answer:
        options = options_from_wire(request.options)
        frame = Frame(seq=0, image=image_from_wire(request.image), age_s=to_s(request.age_us))
        left_s: float | None = context.time_remaining()
        opening = OpenStream(model=request.model, options=options, deadline_s=left_s)
        answer = await self._service.predict(
            frame, opening, client=_client(context), timeout_s=left_s
        )
        return answer_to_wire(answer)

    async def _stream(self, context: Any) -> None:
        opening = await _read_open(context)
        async with self._service.stream(opening, client=_client(context)) as stream:
            reader = asyncio.create_task(_read_frames(context, stream, self._service))
            patience = Patience(self._service.slow_reader_s)
            try:
                await _write_answers(context, stream, self._service, patience)
            except TimeoutError:
                raise self._service.slow_reader() from None
            finally:
                patience.close()
                reader.cancel()


async def _write_answers(
    context: Any, stream: Stream, service: Service, patience: Patience
) -> None:
    opened = opened_to_wire(service.opened(stream))
    with patience:
        await context.write(pb.StreamReply(opened=opened))
    async for answer in stream.answers():
        reply = pb.StreamReply()
        answer_to_wire(answer, reply.answer)
        with patience:
            await context.write(reply)
    last = pb.StreamReply(closing=closing_to_wire(closing(stream)))
    with patience:
        await context.write(last)


def _client(context: Any) -> str:
    """Who calls, for the bounds on one client."""
    return client_of_peer(context.peer())


async def _read_open(context: Any) -> OpenStream:
    first = None
    with suppress(TimeoutError):
        async with asyncio.timeout(_OPEN_WITHIN_S):
            first = await context.read()
    if not isinstance(first, pb.StreamRequest) or first.WhichOneof("message") != "open":
        raise FathomError(
            Code.BAD_SEQUENCE,
            expected="Open as the first message of a stream",
            got=str(first.WhichOneof("message")) if isinstance(first, pb.StreamRequest) else "none",
            repair="send Open before any frame",
        )
    return open_from_wire(first.open)


async def _read_frames(context: Any, stream: Stream, service: Service) -> None:
    """Move frames from the wire into the stream until the client is done or breaks a rule."""
    patience = Patience(service.entry.idle_stream_s)
    try:
        while not stream.ended:
            await stream.room()
            with patience:
                request = await context.read()
            if request is aio.EOF:  # type: ignore[attr-defined]  # the stubs lag behind grpcio
                stream.end()
                return
            if request.WhichOneof("message") != "frame":
                raise FathomError(  # noqa: TRY301 - one way out for every broken rule
                    Code.BAD_SEQUENCE,
                    expected="a frame",
                    got=str(request.WhichOneof("message")),
                    repair="send Open once, then frames",
                )
            _take_in(stream, request.frame)
    except TimeoutError:
        stream.end(service.idle())
    except FathomError as error:
        stream.end(error)
    except DecodeError as error:
        stream.end(undecodable(error))
    except aio.UsageError:
        stream.end()  # the call is over; the handler learns it by itself
    except Exception:  # noqa: BLE001
        # A bug here must not leave the stream waiting for frames that nobody reads.
        _log.exception("grpc.reader failed")
        stream.end(FathomError.internal())
    finally:
        patience.close()


def _take_in(stream: Stream, message: pb.Frame) -> None:
    try:
        image = image_from_wire(message.image)
    except FathomError as error:
        stream.refuse(message.seq, error)
        return
    frame = Frame(
        seq=message.seq,
        image=image,
        age_s=to_s(message.age_us),
        deadline_s=to_s(message.deadline_us) or None,
    )
    stream.offer(frame)


async def _or_abort(context: Any, handler: Callable[[], Awaitable[Any]]) -> Any:
    """Run a handler; every error leaves as its row of the error table."""
    try:
        return await handler()
    except FathomError as error:
        await abort(context, error)
    except DecodeError as error:
        await abort(context, undecodable(error))
    except aio.InternalError:  # written to a client that has left, before gRPC says that it has
        await abort(context, client_left())
    except (aio.AbortError, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001
        # The one catch-all of this door: a bug answers INTERNAL, without its insides.
        _log.exception("grpc.handler failed")
        await abort(context, FathomError.internal())
