"""The error table on HTTP: RFC 9457 problem details."""

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from fathom.errors import Code, FathomError

# Long enough for a queue to move, short enough for a camera to come back.
_RETRY_AFTER_S = "1"
# Basic first, so that a browser asks for the token, as the password of any user. A line each, for
# Chromium reads one challenge a line.
_CHALLENGES = ('Basic realm="Fathom: a token as the password", charset="UTF-8"', "Bearer")


class ProblemResponse(JSONResponse):
    """One error as `application/problem+json`."""

    media_type = "application/problem+json"

    def __init__(self, error: FathomError) -> None:
        status = error.status
        body: dict[str, Any] = {
            "type": f"urn:fathom:error:{error.code}",
            "title": str(error.code).replace("_", " "),
            "status": status.http,
            "detail": str(error),
            "code": error.code,
            "expected": error.expected,
            "got": error.got,
            "repair": error.repair,
        }
        headers = {"Retry-After": _RETRY_AFTER_S} if status.retry else {}
        super().__init__(body, status_code=status.http, headers=headers)
        if error.code is Code.UNAUTHENTICATED:
            for challenge in _CHALLENGES:
                self.headers.append("WWW-Authenticate", challenge)


def error_for_status(status: int, path: str, method: str) -> FathomError:
    """The table's row for what the router itself refuses."""
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return FathomError(
            Code.WRONG_METHOD,
            expected="a method that this route has",
            got=f"{method} {path}",
            repair="see /docs",
        )
    if status == HTTPStatus.NOT_FOUND:
        return FathomError(
            Code.UNKNOWN_ROUTE,
            expected="a route such as /predict or /models",
            got=f"{method} {path[:200]}",
            repair="see /docs",
        )
    return FathomError(
        Code.BAD_REQUEST,
        expected="a request that HTTP can carry",
        got=HTTPStatus(status).phrase,
        repair="see /docs",
    )
