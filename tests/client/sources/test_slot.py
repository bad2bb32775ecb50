"""One thing waits, the newest, until somebody takes it or nothing comes any more."""

from client.sources.slot import Slot


def test_the_newest_is_taken_and_what_it_replaced_is_counted() -> None:
    slot = Slot[str]()
    for thing in ("a", "b", "c"):
        slot.put(thing)
    assert (slot.take(), slot.passed_over) == ("c", 2)


def test_what_waits_at_the_end_is_still_taken() -> None:
    slot = Slot[str]()
    slot.put("a")
    slot.end()
    assert (slot.take(), slot.take(), slot.ended) == ("a", None, True)


def test_what_waits_when_it_is_closed_is_dropped() -> None:
    slot = Slot[str]()
    slot.put("a")
    slot.close()
    assert slot.take() is None
    slot.put("too late")
    assert slot.take() is None
