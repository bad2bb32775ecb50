"""Messages that are none: gRPC calls them a fault of the server, and they are the client's."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from fathom.errors import Code, FathomError
from server.doors.grpc_abort import abort
from server.doors.grpc_gate import Handler


def undecodable(error: DecodeError) -> FathomError:
    """What a client is told of bytes that are no message."""
    return FathomError(
        Code.BAD_REQUEST,
        expected="a message of the method's type",
        got=str(error)[:200],
        repair="generate the client from this server's .proto, or ask its reflection service",
    )


class DecodingInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs alone
    """Answers INVALID_ARGUMENT for bytes that are no message, in every method of one request.

    Streams read their messages themselves, and meet the DecodeError there.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler: Any = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler  # type: ignore[no-any-return]  # None: no such method, which gRPC answers

        def decode(data: bytes) -> Any:
            try:
                return handler.request_deserializer(data)
            except DecodeError as error:
                return undecodable(error)

        async def behave(request: Any, context: Any) -> Any:
            if isinstance(request, FathomError):
                return await abort(context, request)
            return await handler.unary_unary(request, context)

        decoding: Handler = grpc.unary_unary_rpc_method_handler(
            behave,
            request_deserializer=decode,
            response_serializer=handler.response_serializer,
        )
        return decoding
