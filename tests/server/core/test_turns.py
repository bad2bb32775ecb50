"""Who goes next: shares by weight, urgent ones first, and a bound on how long anyone waits."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.turns import Turns
from tests.server.core.fairness import KEPT, longest_wait

WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 4.0])


def joined(weights: list[float], urgent: int = 0) -> Turns:
    """Streams 0, 1, ... of these weights, the first `urgent` of them urgent, none waiting."""
    turns = Turns()
    for stream, weight in enumerate(weights):
        turns.join(stream, weight=weight, urgent=stream < urgent)
    return turns


def serve(turns: Turns, count: int) -> list[int]:
    """The next so many turns, where whoever was served waits again at once."""
    served = []
    for _ in range(count):
        stream = turns.next()
        assert stream is not None
        turns.rest(stream)
        turns.wait(stream)
        served.append(stream)
    return served


def test_nobody_waits_nobody_is_next() -> None:
    turns = joined([1.0, 1.0])
    assert turns.next() is None
    turns.wait(1)
    assert len(turns) == 1 and turns.next() == 1


def test_equals_take_turns() -> None:
    turns = joined([1.0] * 3)
    for stream in range(3):
        turns.wait(stream)
    assert serve(turns, 7) == [0, 1, 2, 0, 1, 2, 0]


@given(st.lists(WEIGHTS, min_size=1, max_size=6), st.integers(1, 200))
def test_streams_that_always_wait_are_served_by_weight(weights: list[float], count: int) -> None:
    """At any moment nobody is ahead of anybody by more than one round's worth."""
    turns = joined(weights)
    for stream in range(len(weights)):
        turns.wait(stream)
    served = Counter(serve(turns, count))
    rounds = [served[stream] / weight for stream, weight in enumerate(weights)]
    assert max(rounds) - min(rounds) <= 1 + 1 / min(weights)


@given(
    weights=st.lists(WEIGHTS, min_size=1, max_size=5),
    urgent=st.integers(0, 5),
    calls=st.lists(st.tuples(st.sampled_from(["wait", "rest", "next"]), st.integers(0, 4))),
)
@settings(max_examples=300)
def test_in_any_schedule_nobody_waits_longer_than_a_round_over_its_share(
    weights: list[float], urgent: int, calls: list[tuple[str, int]]
) -> None:
    turns = joined(weights, urgent)
    passed: dict[int, int] = {}  # turns of others since a stream began to wait
    for call, which in calls:
        stream = which % len(weights)
        if call == "wait":
            turns.wait(stream)
            passed.setdefault(stream, 0)
        elif call == "rest":
            turns.rest(stream)
            passed.pop(stream, None)
        else:
            served = turns.next()
            assert (served is None) is (not passed)
            if served is not None:
                passed = {each: count + 1 for each, count in passed.items()}
                passed[served] = 0
        for each, count in passed.items():
            assert count <= longest_wait(weights, urgent, each)
        assert len(turns) == len(passed)


def test_urgent_streams_leave_one_turn_in_five() -> None:
    turns = joined([1.0, 1.0, 1.0], urgent=2)
    for stream in range(3):
        turns.wait(stream)
    served = serve(turns, 50)
    for first in range(0, 46):
        assert served[first : first + KEPT].count(2) == 1


def test_urgent_streams_alone_leave_nothing() -> None:
    turns = joined([1.0, 1.0], urgent=1)
    turns.wait(0)
    assert serve(turns, 10) == [0] * 10


def test_a_stream_of_three_shares_gets_three_turns_spread_over_the_round() -> None:
    """Turns of weight 3 start at 1/3, 2/3, 1, ...; those of weight 1 at 1, 2, ..."""
    turns = joined([4.0, 1.0])
    turns.wait(0)
    turns.wait(1)
    assert serve(turns, 10) == [0, 0, 0, 1, 0, 0, 0, 0, 1, 0]


def test_who_asks_for_less_than_its_share_waits_for_nobody_who_always_waits() -> None:
    turns = joined([1.0, 1.0, 1.0])
    turns.wait(0)
    turns.wait(1)
    for _ in range(5):
        serve(turns, 3)
        turns.wait(2)
        assert turns.next() == 2
        turns.rest(2)


def test_time_without_a_frame_is_not_saved_up() -> None:
    turns = joined([1.0, 1.0])
    turns.wait(0)
    serve(turns, 100)
    turns.wait(1)
    assert Counter(serve(turns, 10)) == {0: 5, 1: 5}


def test_a_new_stream_goes_before_nobody_who_waits() -> None:
    """Every picture of a flood over HTTP is a stream of its own."""
    turns = joined([1.0])
    turns.wait(0)
    assert serve(turns, 5) == [0] * 5
    for visitor in (1, 2, 3):
        turns.join(visitor)
        turns.wait(visitor)
    assert serve(turns, 5) == [0, 1, 2, 3, 0]


def test_a_stream_that_left_is_never_next() -> None:
    turns = joined([1.0, 1.0])
    turns.wait(0)
    turns.wait(1)
    turns.leave(0)
    assert serve(turns, 3) == [1, 1, 1]
