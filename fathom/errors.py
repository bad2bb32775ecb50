"""The one error table: what can go wrong, its status on every door, and whether a retry can help.

Knows no door: each turns a `FathomError` into its own form by reading `STATUS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fathom.redact import redact


class Code(StrEnum):
    """Names of everything that can go wrong; the value is what travels on the wire."""

    BAD_IMAGE = "bad_image"
    IMAGE_TOO_LARGE = "image_too_large"
    UNSUPPORTED_IMAGE = "unsupported_image"
    BAD_OPTION = "bad_option"
    BAD_REQUEST = "bad_request"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_ROUTE = "unknown_route"
    WRONG_METHOD = "wrong_method"
    BAD_SEQUENCE = "bad_sequence"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_AVAILABLE = "not_available"
    QUEUE_FULL = "queue_full"
    SLOW_READER = "slow_reader"
    RATE_LIMITED = "rate_limited"
    IDLE = "idle"
    DEADLINE_PASSED = "deadline_passed"
    NOT_READY = "not_ready"
    SHUTTING_DOWN = "shutting_down"
    CONNECTION_LOST = "connection_lost"
    ENGINE_FAULT = "engine_fault"
    BAD_SETTING = "bad_setting"
    BAD_MODEL = "bad_model"
    BAD_DATA = "bad_data"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Status:
    """One row of the table: the HTTP status, the gRPC status by name, and whether to try again."""

    http: int
    grpc: str
    retry: bool


# Shed is 429 / RESOURCE_EXHAUSTED, broken or not ready is 503 / UNAVAILABLE: proxies eject a server
# that answers 503 and blindly repeat the request, which is the last thing an overloaded one needs.
STATUS: Mapping[Code, Status] = MappingProxyType(
    {
        Code.BAD_IMAGE: Status(400, "INVALID_ARGUMENT", retry=False),
        Code.IMAGE_TOO_LARGE: Status(413, "INVALID_ARGUMENT", retry=False),
        Code.UNSUPPORTED_IMAGE: Status(415, "INVALID_ARGUMENT", retry=False),
        Code.BAD_OPTION: Status(400, "INVALID_ARGUMENT", retry=False),
        Code.BAD_REQUEST: Status(400, "INVALID_ARGUMENT", retry=False),
        Code.UNKNOWN_MODEL: Status(404, "NOT_FOUND", retry=False),
        Code.UNKNOWN_ROUTE: Status(404, "UNIMPLEMENTED", retry=False),
        Code.WRONG_METHOD: Status(405, "UNIMPLEMENTED", retry=False),
        Code.BAD_SEQUENCE: Status(409, "FAILED_PRECONDITION", retry=False),
        Code.UNAUTHENTICATED: Status(401, "UNAUTHENTICATED", retry=False),
        Code.FORBIDDEN: Status(403, "PERMISSION_DENIED", retry=False),
        Code.NOT_AVAILABLE: Status(501, "UNIMPLEMENTED", retry=False),
        Code.QUEUE_FULL: Status(429, "RESOURCE_EXHAUSTED", retry=True),
        Code.SLOW_READER: Status(429, "RESOURCE_EXHAUSTED", retry=True),
        Code.RATE_LIMITED: Status(429, "RESOURCE_EXHAUSTED", retry=True),
        Code.IDLE: Status(408, "ABORTED", retry=True),
        Code.DEADLINE_PASSED: Status(504, "DEADLINE_EXCEEDED", retry=False),
        Code.NOT_READY: Status(503, "UNAVAILABLE", retry=True),
        Code.SHUTTING_DOWN: Status(503, "UNAVAILABLE", retry=True),
        Code.CONNECTION_LOST: Status(503, "UNAVAILABLE", retry=True),
        Code.ENGINE_FAULT: Status(503, "UNAVAILABLE", retry=True),
        Code.BAD_SETTING: Status(500, "FAILED_PRECONDITION", retry=False),
        Code.BAD_MODEL: Status(500, "FAILED_PRECONDITION", retry=False),
        Code.BAD_DATA: Status(500, "FAILED_PRECONDITION", retry=False),
        Code.INTERNAL: Status(500, "INTERNAL", retry=False),
    }
)


class FathomError(Exception):
    """Something to repair: a code of the table, what was expected, what came, what to do."""

    def __init__(self, code: Code, *, expected: str, got: str, repair: str) -> None:
        # Here, so that no error can tell a password: what came may be the address of a camera.
        expected, got, repair = redact(expected), redact(got), redact(repair)
        super().__init__(code, expected, got, repair)
        self.code = code
        self.expected = expected
        self.got = got
        self.repair = repair

    @classmethod
    def internal(cls) -> "FathomError":
        """What a caller is told of a bug: nothing of its insides, and where to look."""
        return cls(
            Code.INTERNAL,
            expected="an answer",
            got="a bug of the server",
            repair="report it with the server's log of this moment",
        )

    @property
    def status(self) -> Status:
        return STATUS[self.code]

    def __str__(self) -> str:
        return f"{self.code}: expected {self.expected}; got {self.got}; {self.repair}"

    def __reduce__(self) -> tuple[object, tuple[Code, str, str, str]]:
        # Keyword-only arguments break the default pickling between worker processes.
        return _rebuild, (self.code, self.expected, self.got, self.repair)


def _rebuild(code: Code, expected: str, got: str, repair: str) -> FathomError:
    return FathomError(code, expected=expected, got=got, repair=repair)
