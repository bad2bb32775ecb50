"""One picture through the path of a stream's frames: depth, or the error that says why not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from fathom import metrics
from fathom.errors import Code, FathomError
from fathom.values import EncodedDepth, Frame, Image, ImageEncoding, OpenStream, Skipped, SkipReason
from server.dispatch import Dispatch
from server.models import Models
from server.service import Service, closing
from server.telemetry import Telemetry
from tests.server.conftest import (
    PATIENCE_S,
    ScriptedEngine,
    depth,
    frame,
    new_service,
    serve_model,
    total,
)

NO_IMAGE = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


@pytest.fixture
def new(telemetry: Telemetry) -> Callable[[Dispatch], Service]:
    """A service over one dispatch whose lanes nobody starts: a test is the lane."""

    def make(dispatch: Dispatch) -> Service:
        model = serve_model(ScriptedEngine(), dispatch, telemetry)
        return new_service(Models([model]), telemetry)

    return make


@asynccontextmanager
async def asked(service: Service, frame: Frame) -> AsyncIterator[asyncio.Task[EncodedDepth]]:
    """A picture on its way, waiting for a lane."""
    async with asyncio.timeout(PATIENCE_S):
        task = asyncio.create_task(service.predict(frame, OpenStream(), client="me"))
        for _ in range(10):
            await asyncio.sleep(0)
        yield task


def test_depth_comes_back_and_nothing_stays(
    new: Callable[[Dispatch], Service], dispatch: Dispatch, telemetry: Telemetry
) -> None:
    async def main() -> EncodedDepth:
        async with asked(new(dispatch), frame(0)) as task:
            [ticket] = dispatch.take() or []
            dispatch.settle(ticket, depth(0))
            return await task

    assert asyncio.run(main()).seq == 0
    assert dispatch.streams == 0
    assert total(telemetry, metrics.FRAMES, outcome="answered") == 1


def refused(service: Service, picture: Frame, **more: float) -> FathomError:
    async def main() -> EncodedDepth:
        async with asyncio.timeout(PATIENCE_S):
            return await service.predict(picture, OpenStream(), client="me", **more)

    with pytest.raises(FathomError) as caught:
        asyncio.run(main())
    return caught.value


def test_what_it_fails_with_is_raised(
    new: Callable[[Dispatch], Service], dispatch: Dispatch
) -> None:
    assert refused(new(dispatch), frame(0, NO_IMAGE)).code is Code.BAD_IMAGE
    assert dispatch.streams == 0


def test_a_picture_that_nobody_computes_is_given_up_and_counted(
    new: Callable[[Dispatch], Service], dispatch: Dispatch, telemetry: Telemetry
) -> None:
    error = refused(new(dispatch), frame(0), timeout_s=0.01)
    assert error.code is Code.DEADLINE_PASSED
    assert dispatch.streams == dispatch.waiting == 0
    assert total(telemetry, metrics.FRAMES, reason=Code.CONNECTION_LOST) == 1


@pytest.mark.parametrize("reason", [SkipReason.DEADLINE, SkipReason.PREDICTED_LATE])
def test_a_picture_that_would_be_late_is_told_so_and_not_to_try_again(
    new: Callable[[Dispatch], Service], dispatch: Dispatch, reason: SkipReason
) -> None:
    async def main() -> EncodedDepth:
        async with asked(new(dispatch), frame(0)) as task:
            [ticket] = dispatch.take() or []
            dispatch.settle(ticket, Skipped(seq=0, reason=reason))
            return await task

    with pytest.raises(FathomError) as caught:
        asyncio.run(main())
    assert caught.value.code is Code.DEADLINE_PASSED and not caught.value.status.retry


def test_a_picture_that_waits_when_the_server_stops_is_told_so(
    new: Callable[[Dispatch], Service], dispatch: Dispatch
) -> None:
    async def main() -> EncodedDepth:
        async with asked(new(dispatch), frame(0)) as task:
            dispatch.stop()
            return await task

    with pytest.raises(FathomError) as caught:
        asyncio.run(main())
    assert caught.value.code is Code.SHUTTING_DOWN


def test_one_picture_too_many_is_refused(
    new: Callable[[Dispatch], Service], new_dispatch: Callable[..., Dispatch]
) -> None:
    dispatch = new_dispatch(streams=1)
    dispatch.open(OpenStream(), lambda _: None)
    assert refused(new(dispatch), frame(0)).code is Code.QUEUE_FULL


def test_an_unknown_model_is_refused_before_anything_is_opened(
    new: Callable[[Dispatch], Service], dispatch: Dispatch
) -> None:
    async def main() -> None:
        async with new(dispatch).stream(OpenStream(model="none"), client="me"):
            pytest.fail("it opened")

    with pytest.raises(FathomError) as caught:
        asyncio.run(main())
    assert caught.value.code is Code.UNKNOWN_MODEL
    assert dispatch.streams == 0


def test_every_open_stream_is_told_why_it_ends(
    new: Callable[[Dispatch], Service], dispatch: Dispatch
) -> None:
    why = FathomError(Code.SHUTTING_DOWN, expected="e", got="g", repair="r")

    async def main() -> list[Code | None]:
        service = new(dispatch)
        async with (
            service.stream(OpenStream(), client="a") as first,
            service.stream(OpenStream(), client="b") as second,
        ):
            assert service.streams == {first, second}
            service.end_streams(why)
            return [closing(stream).code for stream in (first, second)]

    assert asyncio.run(main()) == [Code.SHUTTING_DOWN] * 2
    assert dispatch.streams == 0
