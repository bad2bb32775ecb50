"""Who is let in at every door: a bearer token for each request, and the short list without.

Knows no door: each asks with the route, the header and the client's address, and refuses as told.
"""

import logging
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from fathom.errors import Code, FathomError
from server.core.rates import Rate
from server.security.tokens import Tokens, presented_token

_log = logging.getLogger("fathom.server.security")

# All that answers without a token, each with its reason. HTTP paths are open for GET and HEAD.
# `Health/Watch` is not here: it stays open, so that strangers could use up the server's calls.
_PROBE = "probes of orchestrators hold no token; it tells that the server lives, or is ready"
OPEN: Mapping[str, str] = MappingProxyType(
    {
        "/healthz": _PROBE,
        "/readyz": _PROBE,
        "/v2/health/live": _PROBE,
        "/v2/health/ready": _PROBE,
        "/grpc.health.v1.Health/Check": _PROBE,
        "/inference.GRPCInferenceService/ServerLive": _PROBE,
        "/inference.GRPCInferenceService/ServerReady": _PROBE,
    }
)
METRICS = "/metrics"

_SHOWN = 80  # of a route, which a client chooses


class Refusal(StrEnum):
    """Why somebody was not let in, as it is counted."""

    MISSING = "missing"
    WRONG = "wrong"
    LIMITED = "limited"


_WANTED = "the header Authorization: Bearer TOKEN, with a token of this server"
_ASK = "ask whoever runs this server for a token"
# Each refusal's code, what was expected, what came, and the repair.
_TOLD: Mapping[Refusal, tuple[Code, str, str, str]] = MappingProxyType(
    {
        Refusal.MISSING: (Code.UNAUTHENTICATED, _WANTED, "none", _ASK),
        Refusal.WRONG: (Code.UNAUTHENTICATED, _WANTED, "one that is none of its tokens", _ASK),
        Refusal.LIMITED: (
            Code.RATE_LIMITED,
            "a token of this server",
            "wrong ones, too often",
            "wait a minute, then send the right one",
        ),
    }
)


class Gate:
    """The one place where it is decided who may ask.

    tokens         the newest ones; None lets everybody in
    metrics_open   whether `/metrics` answers without one
    failures       how often a client may fail; past it, failures are neither told apart nor logged
    refused        told of each refusal

    A good token is always let in, whatever its address has failed before: behind a proxy many share
    one, and a stranger's guesses must not lock their cameras out. Guessing is met by the length of
    a token; the rate is for the log and for whoever counts on answers.
    """

    def __init__(
        self,
        tokens: Callable[[], Tokens] | None = None,
        *,
        metrics_open: bool = False,
        failures: Rate | None = None,
        refused: Callable[[Refusal], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._open = {*OPEN, METRICS} if metrics_open else set(OPEN)
        self._failures = failures or Rate()
        self._refused = refused
        self._clock = clock

    @property
    def asks(self) -> bool:
        """Whether anybody is refused at all."""
        return self._tokens is not None

    def lets_in(self, route: str, authorization: str) -> bool:
        """Whether this route answers whoever sends this header; the header is empty without one."""
        if self._tokens is None or route in self._open:
            return True
        return self._tokens().holds(presented_token(authorization))

    def refuse(self, route: str, authorization: str, client: str) -> FathomError:
        """What somebody who was not let in is told; as much work whatever was wrong."""
        refusal = Refusal.WRONG if authorization else Refusal.MISSING
        now_s = self._clock()
        if self._failures.has_room(client, now_s):
            self._failures.spend(client, 1, now_s)
            # %r: a route is the client's own text, and a line of the log is one line.
            _log.warning(
                "auth.refused reason=%s client=%s route=%r", refusal, client, route[:_SHOWN]
            )
        elif refusal is Refusal.WRONG:
            refusal = Refusal.LIMITED
        self._refused(refusal)
        code, expected, got, repair = _TOLD[refusal]
        return FathomError(code, expected=expected, got=got, repair=repair)
