"""Ctrl-C as a request to end in order, not as an exception in the middle of a frame."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts(*steps: Callable[[], None]) -> Iterator[None]:
    """Run one step per Ctrl-C or SIGTERM, from gentle to rough; KeyboardInterrupt after the last.

    Does nothing outside the main thread, where Python delivers no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    remaining = iter(steps)

    def handle(_number: int, _frame: FrameType | None) -> None:
        step = next(remaining, None)
        if step is None:
            raise KeyboardInterrupt
        # A handler runs between two lines of the main thread, which may hold the very lock that
        # the step wants; another thread just waits for it.
        threading.Thread(target=step, name="interrupt", daemon=True).start()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
