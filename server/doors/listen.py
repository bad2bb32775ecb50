"""Listening for HTTP and WebSocket: one uvicorn server in the running event loop.

Knows how to start and how to stop, and no route.
"""

import asyncio
import math
import socket
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import uvicorn
from fastapi import FastAPI

from server.doors.protocol import Connections, HttpProtocol, SocketProtocol
from server.ports import taken
from server.security.tls import Identity, RenewedContext

_KEEP_ALIVE_S = 65
# A sender that flow control holds back has its pong behind its frames, so this is no short time.
_PING_TIMEOUT_S = 60


class HttpDoor:
    """One listening HTTP server in the running event loop.

    connections  the bounds on them
    identity     the newest certificate, asked for at each handshake; None serves without TLS
    shared       whether other processes may listen on this port too
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        host: str,
        port: int,
        connections: Connections | None = None,
        identity: Callable[[], Identity] | None = None,
        shared: bool = False,
    ) -> None:
        bound = {"connections_bound": connections or Connections()}
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            log_level="error",  # whatever clients send that is no HTTP is not for this log
            access_log=False,
            proxy_headers=False,  # or a client could give itself any address
            ssl_context_factory=identity and (lambda *_: RenewedContext(identity)),
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_S,
            server_header=False,
            http=type("Http", (HttpProtocol,), bound),
            ws=type("Socket", (SocketProtocol,), bound),
            ws_max_size=app.state.message_bytes,
            ws_ping_timeout=_PING_TIMEOUT_S,
            ws_per_message_deflate=False,  # pictures do not shrink, and depth has ZSTD_U16_MM
        )
        self._address = (host, port)
        self._shared = shared
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        address: tuple[str, int] = self._server.servers[0].sockets[0].getsockname()
        return address[1]

    async def start(self) -> None:
        """Listen; raises BAD_SETTING if the address is taken."""
        try:
            listening = socket.create_server(self._address, reuse_port=self._shared)
        except OSError as error:
            address = f"{self._address[0]}:{self._address[1]}"
            raise taken("HTTP", address, error.strerror or type(error).__name__) from error
        self._task = asyncio.create_task(self._server.serve([listening]))
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.005)

    async def stop(self, grace_s: int) -> None:
        """Finish what runs, then close; after the grace, whatever a client still holds open."""
        self._server.config.timeout_graceful_shutdown = grace_s
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Server(uvicorn.Server):
    def capture_signals(self) -> Any:
        """Leave signals to the life cycle, which has more than this door to stop."""
        return nullcontext()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let streams say their last word, which the parent would cut off, then close."""
        for server in self.servers:
            server.close()
        grace_s = self.config.timeout_graceful_shutdown or 0
        running = set(self.server_state.tasks)
        if running:
            # Half of it at most: the rest is for what has to be cut.
            now_s = asyncio.get_running_loop().time
            since_s = now_s()
            await asyncio.wait(running, timeout=grace_s / 2)
            grace_s = math.floor(grace_s - (now_s() - since_s))
        self.config.timeout_graceful_shutdown = grace_s
        await super().shutdown(sockets)
