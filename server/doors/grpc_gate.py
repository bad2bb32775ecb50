"""Before every gRPC call, of every service: who may ask."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from grpc import aio

from server.doors.grpc_abort import abort
from server.security.address import client_of_peer
from server.security.gate import Gate

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class GateInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Answers a call that is not let in, before a byte of its message is read."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        metadata = details.invocation_metadata or ()
        given = [str(value) for key, value in metadata if key == "authorization"]
        authorization = given[0] if len(given) == 1 else ", ".join(given)
        if self._gate.lets_in(details.method, authorization):
            return await continuation(details)

        async def refuse(_: Any, context: Any) -> None:
            client = client_of_peer(context.peer())
            error = self._gate.refuse(details.method, authorization, client)
            await abort(context, error)

        # As a stream in both directions, whatever the method is: such a one waits for no message.
        handler: Handler = grpc.stream_stream_rpc_method_handler(refuse)
        return handler
