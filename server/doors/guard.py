"""Round every HTTP route and WebSocket, also those that are not written yet: who may ask, and what
a browser may do with the answer.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fathom.errors import FathomError
from server.doors.problem import ProblemResponse
from server.security.address import client_of
from server.security.gate import Gate
from server.security.origin import check_origin

_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# The page loads nothing from elsewhere and runs nothing inline; whatever slips in stays inert.
_PAGE = (
    f"{_NOTHING}; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:"
    " data:; media-src 'self' blob:; worker-src 'self'"
)
# What FastAPI writes for /docs has its script inline.
_DOCS = (
    f"{_NOTHING}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src"
    " 'self'; img-src 'self' data:; worker-src blob:; font-src 'self' data:"
)
# No Strict-Transport-Security: it would bind every other port of the host as well.
_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
_READS = {"GET", "HEAD"}


class Guard:
    """An ASGI middleware; nothing behind it is reached by who is not let in.

    origins  of other sites whose pages may use this server
    """

    def __init__(self, app: ASGIApp, gate: Gate, origins: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._gate = gate
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                _add_headers(MutableHeaders(scope=message), scope["path"], bool(self._origins))
            await send(message)

        try:
            self._check(scope)
        except FathomError as error:
            response = ProblemResponse(error)
            # Whatever body is still to come is not waited for.
            response.headers["Connection"] = "close"
            await response(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        reads = scope["type"] == "http" and scope["method"] in _READS
        path: str = scope["path"]
        route = path if reads else f"{scope.get('method', 'WS')} {path}"
        given = headers.getlist("authorization")
        # Two headers are none: which of them another proxy has looked at cannot be told.
        authorization = given[0] if len(given) == 1 else ", ".join(given)
        if not self._gate.lets_in(route, authorization):
            client = client_of(scope["client"][0]) if scope["client"] else ""
            raise self._gate.refuse(route, authorization, client)
        if not reads:  # a foreign page cannot read an answer without CORS, so reading is harmless
            check_origin(headers, self._origins)


def _add_headers(headers: MutableHeaders, path: str, shared: bool) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if shared:
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    headers.setdefault("Content-Security-Policy", _policy(path))


def _policy(path: str) -> str:
    if path == "/" or path.startswith("/page/"):
        return _PAGE
    return _DOCS if path.startswith(("/docs", "/redoc")) else _NOTHING
