"""A wait that lasts too long is cut, and nothing else is."""

import asyncio

import pytest

from server.doors.patience import Patience

LIMIT_S = 0.001


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_a_wait_that_lasts_too_long_is_a_time_out() -> None:
    async def run() -> None:
        patience = Patience(LIMIT_S)
        with pytest.raises(TimeoutError), patience:
            await wait_for_ever()
        patience.close()
        await asyncio.sleep(0)  # the cut left no cancellation behind
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(run())


def test_time_between_waits_does_not_count() -> None:
    async def run() -> None:
        patience = Patience(0.0)  # any wait is too long, and it is looked at in every round
        for _ in range(8):
            await asyncio.sleep(0)
        patience.close()

    asyncio.run(run())


def test_each_wait_is_cut_anew() -> None:
    async def run() -> None:
        patience = Patience(LIMIT_S)
        for _ in range(3):
            with pytest.raises(TimeoutError), patience:
                await wait_for_ever()
        patience.close()

    asyncio.run(run())


def test_a_task_that_somebody_else_cancels_is_cancelled() -> None:
    async def waiting() -> None:
        patience = Patience(60)
        try:
            with patience:
                await wait_for_ever()
        finally:
            patience.close()

    async def run() -> None:
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_closed_it_leaves_no_timer_behind() -> None:
    async def run() -> None:
        patience = Patience(LIMIT_S)
        patience.close()
        assert patience._next_look.cancelled()

    asyncio.run(run())
