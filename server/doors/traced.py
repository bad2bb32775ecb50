"""Around every request and call, where spans are wanted: of which trace it says to be a part."""

from collections.abc import Awaitable, Callable

import grpc
from grpc import aio
from starlette.types import ASGIApp, Receive, Scope, Send

from server.doors.grpc_gate import Handler
from server.tracing import HEADERS, PARENT


class TracedApp:
    """An ASGI middleware for routes and sockets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = {name.decode("latin-1"): value for name, value in scope.get("headers", ())}
        PARENT.set({name: given[name].decode("latin-1") for name in HEADERS if name in given})
        await self._app(scope, receive, send)


class TracedInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs alone
    """The same for gRPC, whose interceptors and methods run in one task."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        metadata = details.invocation_metadata or ()
        PARENT.set({key: str(value) for key, value in metadata if key in HEADERS})
        return await continuation(details)
