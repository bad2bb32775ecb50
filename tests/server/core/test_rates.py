"""A client gets what its rate allows, and no other client pays for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.rates import Rate


def taken(rate: Rate, times_s: list[float], client: str = "a", amount: float = 1) -> int:
    """How many of the asked-for pieces were given."""
    given_ = 0
    for now_s in times_s:
        if rate.has_room(client, now_s):
            rate.spend(client, amount, now_s)
            given_ += 1
    return given_


def test_without_a_rate_there_is_no_bound() -> None:
    assert taken(Rate(), [0.0] * 1000) == 1000


def test_a_burst_is_given_at_once_and_then_the_rate() -> None:
    assert taken(Rate(10), [0.0] * 50) == 10
    assert taken(Rate(16), [n / 128 for n in range(3 * 128 + 1)]) == 16 + 3 * 16
    assert taken(Rate(10, burst=3), [0.0] * 50) == 3


def test_a_rate_below_one_a_second_still_gives_one() -> None:
    assert taken(Rate(0.5), [0.0, 1.0, 2.0, 3.0, 4.0]) == 3


def test_what_is_larger_than_a_second_is_given_and_then_paid_off() -> None:
    """A picture of 3 MB at 1 MB a second: the next one 3 s later, when a byte is left again."""
    rate = Rate(1e6)
    assert taken(rate, [n / 10 for n in range(100)], amount=3e6) == 4


def test_clients_do_not_share() -> None:
    rate = Rate(2)
    assert taken(rate, [0.0] * 9, "a") == 2
    assert taken(rate, [0.0] * 9, "b") == 2


@pytest.mark.parametrize("back_s", [1.0, 1e6])
def test_a_clock_that_jumps_back_gives_nothing(back_s: float) -> None:
    rate = Rate(10)
    taken(rate, [1000.0] * 20)
    assert taken(rate, [1000.0 - back_s] * 20) == 0


def test_strangers_without_end_hold_no_memory_without_end() -> None:
    rate = Rate(1)
    for n in range(10_000):
        rate.spend(str(n), 1, 0.0)
    assert len(rate._left) < 5000


@given(
    st.floats(1, 1000),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(1, 100)), max_size=60),
)
def test_never_more_than_the_burst_the_rate_and_one_piece(
    per_s: float, asked: list[tuple[float, float]]
) -> None:
    rate, now_s, got = Rate(per_s), 0.0, 0.0
    for wait_s, amount in asked:
        now_s += wait_s
        if rate.has_room("a", now_s):
            rate.spend("a", amount, now_s)
            got += amount
    largest = max((amount for _, amount in asked), default=0)
    assert got <= per_s * (1 + now_s) + largest + 1e-6
