"""A client that leaves while it is answered: its own affair, and no bug for the log to show."""

import asyncio
import logging
from typing import Any

import grpc
import pytest
from grpc import aio

from server.doors.grpc import _or_abort


class Call:
    """A gRPC call that remembers how it was ended."""

    def __init__(self) -> None:
        self.status: grpc.StatusCode | None = None

    async def abort(self, status: grpc.StatusCode, *_: Any) -> None:
        self.status = status
        raise aio.InternalError("nobody is there any more")


def ended_by(error: Exception) -> grpc.StatusCode | None:
    """How a call ends whose handler fails so."""

    async def handler() -> None:
        raise error

    call = Call()
    asyncio.run(_or_abort(call, handler))
    return call.status


def test_an_answer_that_cannot_be_written_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert ended_by(aio.InternalError("execute_batch")) is grpc.StatusCode.UNAVAILABLE
    assert not [record for record in caplog.records if record.name.startswith("fathom")]


def test_a_bug_is_logged_and_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    assert ended_by(ZeroDivisionError()) is grpc.StatusCode.INTERNAL
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
