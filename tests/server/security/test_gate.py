"""Who is let in where, and what is said, counted and logged of the others."""

import gc
import logging
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from fathom.errors import Code
from server.core.rates import Rate
from server.security.gate import METRICS, OPEN, Gate, Refusal
from server.security.tokens import Tokens
from tests.server.conftest import FakeClock

TOKEN = "a-token-of-many-characters"  # noqa: S105 - of these tests
GOOD = f"Bearer {TOKEN}"


def new_gate(clock: FakeClock, refused: list[Refusal], *, metrics_open: bool = False) -> Gate:
    return Gate(
        lambda: Tokens([TOKEN]),
        metrics_open=metrics_open,
        failures=Rate(1, burst=2),
        refused=refused.append,
        clock=clock,
    )


def test_without_tokens_everybody_is_let_in() -> None:
    gate = Gate()
    assert not gate.asks
    assert gate.lets_in("/predict", "") and gate.lets_in("/predict", "Bearer anything")


def test_with_tokens_only_health_is_open(clock: FakeClock) -> None:
    gate = new_gate(clock, [])
    assert gate.asks
    assert gate.lets_in("/predict", GOOD)
    assert not gate.lets_in("/predict", "") and not gate.lets_in(METRICS, "")
    assert all(gate.lets_in(route, "") for route in OPEN)
    assert new_gate(clock, [], metrics_open=True).lets_in(METRICS, "")


@pytest.mark.parametrize("route", ["/healthz/", "//healthz", "/HEALTHZ", "/healthz?", "/healthz/x"])
def test_an_open_route_has_no_other_spelling(clock: FakeClock, route: str) -> None:
    assert not new_gate(clock, []).lets_in(route, "")


def test_a_wrong_token_is_told_apart_up_to_the_rate(clock: FakeClock) -> None:
    refused: list[Refusal] = []
    gate = new_gate(clock, refused)
    codes = [gate.refuse("/predict", "Bearer no", "a").code for _ in range(3)]
    assert codes == [Code.UNAUTHENTICATED, Code.UNAUTHENTICATED, Code.RATE_LIMITED]
    assert gate.refuse("/predict", "Bearer no", "b").code is Code.UNAUTHENTICATED
    assert gate.refuse("/predict", "", "a").code is Code.UNAUTHENTICATED
    clock.advance(1.0)
    assert gate.refuse("/predict", "Bearer no", "a").code is Code.UNAUTHENTICATED
    wrong, limited, missing = Refusal.WRONG, Refusal.LIMITED, Refusal.MISSING
    assert refused == [wrong, wrong, limited, wrong, missing, wrong]


def test_each_refusal_up_to_the_rate_is_a_line_of_the_log_without_the_token(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    gate = new_gate(clock, [])
    for _ in range(5):
        gate.refuse("/predict\nserver.ready forged", "Bearer secret-of-somebody", "10.0.0.7")
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 2
    assert "10.0.0.7" in lines[0] and "wrong" in lines[0] and "\n" not in lines[0]
    assert "secret" not in caplog.text


def calls_of(work: Callable[[], object]) -> list[str]:
    """The functions that a piece of work calls, Python's and C's, one after another."""
    called: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)
        elif event == "c_call":
            called.append(str(getattr(argument, "__qualname__", argument)))

    gc.disable()  # what it calls is no part of the work
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return called


# Wrong in its last character, in its first, in all of them; and no header at all.
BAD = [GOOD[:-1] + "x", "Bearer x" + TOKEN[1:], "Bearer " + "x" * 90, "nonsense", ""]


@pytest.mark.parametrize("spent", [0, 3], ids=["told apart", "past the rate"])
def test_nothing_is_as_much_work_to_refuse_as_a_wrong_token(clock: FakeClock, spent: int) -> None:
    """The same functions in the same order, a digest and a comparison among them: as much time."""

    def refuse(authorization: str) -> list[str]:
        gate = new_gate(clock, [])
        for _ in range(spent):
            gate.refuse("/predict", "", "a")

        def ask() -> None:
            assert not gate.lets_in("/predict", authorization)
            gate.refuse("/predict", authorization, "a")

        return calls_of(ask)

    refuse("")  # logging asks once, and remembers, who wants its lines
    wanted = refuse(BAD[0])
    assert {"openssl_sha256", "compare_digest", "Rate.has_room"} <= set(wanted)
    assert all(refuse(authorization) == wanted for authorization in BAD)
