"""One item between two threads: taken in order, made no earlier than need be, ended for both."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from server.handoff import Handoff
from tests.server.conftest import PATIENCE_S, FakeClock


@pytest.fixture
def handoff(clock: FakeClock) -> Handoff[int]:
    return Handoff(clock)


@pytest.fixture
def aside(handoff: Handoff[int]) -> Iterator[ThreadPoolExecutor]:
    """The other side's thread; an end of the handoff lets it go whatever it waits for."""
    with ThreadPoolExecutor(1) as executor:
        yield executor
        handoff.close()


def begun(executor: ThreadPoolExecutor, call: Callable[[], object]) -> Future[object]:
    """A call that runs in the other thread."""
    running = threading.Event()

    def run() -> object:
        running.set()
        return call()

    future = executor.submit(run)
    assert running.wait(PATIENCE_S)
    return future


def test_items_are_used_in_the_order_they_were_made(
    handoff: Handoff[int], aside: ThreadPoolExecutor
) -> None:
    def make() -> None:
        for item in range(100):
            handoff.wait_until_wanted()
            handoff.put(item)
        handoff.close()

    making = begun(aside, make)
    used = []
    while (item := handoff.get()) is not None:
        used.append(item)
    assert used == list(range(100))
    assert making.done() or making.result(PATIENCE_S) is None


def test_an_item_that_was_put_is_used_though_the_maker_has_ended(handoff: Handoff[int]) -> None:
    handoff.put(1)
    handoff.close()
    assert [handoff.get(), handoff.get(), handoff.get()] == [1, None, None]


def test_a_user_that_waits_wakes_for_an_item_and_for_the_end(
    handoff: Handoff[int], aside: ThreadPoolExecutor
) -> None:
    first = begun(aside, handoff.get)
    handoff.put(7)
    assert first.result(PATIENCE_S) == 7
    second = begun(aside, handoff.get)
    handoff.close()
    assert second.result(PATIENCE_S) is None


def test_the_first_item_is_wanted_at_once(handoff: Handoff[int]) -> None:
    handoff.wait_until_wanted()


def test_while_an_item_lies_there_no_other_is_wanted(
    handoff: Handoff[int], aside: ThreadPoolExecutor
) -> None:
    handoff.put(1)
    wanted = begun(aside, handoff.wait_until_wanted)
    assert not wanted.done()
    handoff.get()
    assert not wanted.done()  # in use, for nobody knows how long
    handoff.close()
    wanted.result(PATIENCE_S)


def test_the_next_item_is_wanted_in_time_for_the_user_to_be_free(
    handoff: Handoff[int], clock: FakeClock, aside: ThreadPoolExecutor
) -> None:
    """Of a use of ten seconds, the last one is time enough to make the next."""
    for _ in range(200):
        handoff.lead(1.0)
    handoff.put(1)
    handoff.get()
    clock.advance(8.5)
    handoff.expect(1.5)  # until ten seconds
    wanted = begun(aside, handoff.wait_until_wanted)
    assert not wanted.done()
    clock.advance(0.6)  # 9.1: making takes until after ten
    handoff.expect(0.9)  # wakes the maker, which looks at the clock
    wanted.result(PATIENCE_S)


def test_a_maker_waits_with_an_item_until_the_last_one_was_taken(
    handoff: Handoff[int], aside: ThreadPoolExecutor
) -> None:
    handoff.put(1)
    putting = begun(aside, lambda: handoff.put(2))
    assert not putting.done()
    assert [handoff.get(), handoff.get()] == [1, 2]
    putting.result(PATIENCE_S)
