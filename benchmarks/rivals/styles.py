"""How a camera asks: every frame at its time, one in flight and then the newest, or a stream.

The clock is the monotonic one except in tests; times in the books count from `start_s`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeAlias

from benchmarks.rivals.books import Books
from benchmarks.rivals.http_pool import Refused
from fathom.session.aio import Stream
from fathom.values import EncodedDepth, Skipped

Ask: TypeAlias = Callable[[bytes], Awaitable[bytes]]
Clock: TypeAlias = Callable[[], float]

# uvloop rounds to whole milliseconds: without the half a frame could leave before it is due.
_HALF_TICK_S = 0.0005


class Style(StrEnum):
    """What a camera does with the frames that fall due while it waits for an answer."""

    EVERY = "every frame"
    NEWEST = "one in flight"
    STREAM = "stream, latest"


async def every_frame(
    ask: Ask, picture: bytes, books: Books, start_s: float, clock: Clock = time.monotonic
) -> None:
    """Send each frame when it is due, with as many requests under way as that takes."""
    async with asyncio.TaskGroup() as requests:
        for k in range(books.due):
            due_s = books.schedule.due_s(k)
            await _sleep_until(start_s + due_s, clock)
            books.sent += 1
            requests.create_task(_ask(ask, picture, books, due_s, lambda: clock() - start_s))


async def newest_next(
    ask: Ask, picture: bytes, books: Books, start_s: float, clock: Clock = time.monotonic
) -> None:
    """Send a frame, wait for its answer, send the newest: what a careful client does."""
    last = -1
    while last + 1 < books.due:
        k = max(last + 1, books.schedule.newest(clock() - start_s))
        due_s = books.schedule.due_s(k)
        await _sleep_until(start_s + due_s, clock)
        books.sent += 1
        await _ask(ask, picture, books, due_s, lambda: clock() - start_s)
        last = k


async def latest_stream(
    stream: Stream, picture: bytes, books: Books, start_s: float, clock: Clock = time.monotonic
) -> None:
    """Send each frame when it is due into a Fathom stream, which answers each."""

    async def send() -> None:
        for k in range(books.due):
            due_s = start_s + books.schedule.due_s(k)
            await _sleep_until(due_s, clock)
            await stream.send(picture, captured_s=due_s)
            books.sent += 1
        await stream.finish()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        async for received in stream.answers():
            match received.answer:
                case EncodedDepth():
                    received_s = clock() - start_s
                    books.answer(received_s - received.age_s, received_s)
                case Skipped():
                    books.skipped += 1
                case _:
                    books.failed += 1


async def _ask(ask: Ask, picture: bytes, books: Books, due_s: float, elapsed: Clock) -> None:
    try:
        await ask(picture)
    except (Refused, OSError, EOFError):
        books.failed += 1
    else:
        books.answer(due_s, elapsed())


async def _sleep_until(due_s: float, clock: Clock) -> None:
    left_s = due_s - clock()
    if left_s > 0:
        await asyncio.sleep(left_s + _HALF_TICK_S)
