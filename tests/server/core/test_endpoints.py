"""Servers are asked up to their limits, rested when they fail, and found when they are back."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.core.endpoints import Endpoints


def failed_in_a_row(endpoints: Endpoints, count: int, now_s: float = 0.0) -> None:
    for _ in range(count):
        assert endpoints.take(now_s) == 0
        endpoints.failed(0, now_s)


def test_the_least_loaded_goes_first() -> None:
    endpoints = Endpoints([1, 4])
    assert [endpoints.take(0) for _ in range(6)] == [0, 1, 1, 1, 1, None]


def test_a_batch_is_not_given_to_a_server_that_it_has_been_to() -> None:
    endpoints = Endpoints([1, 1])
    assert endpoints.take(0, tried={0}) == 1
    assert endpoints.take(0, tried={0}) is None
    assert endpoints.busy(tried={0}) and not endpoints.busy(tried={0, 1})


def test_two_failures_are_a_bad_moment_and_three_are_a_broken_server() -> None:
    endpoints = Endpoints([1])
    failed_in_a_row(endpoints, 2)
    assert endpoints.open == []
    failed_in_a_row(endpoints, 1)
    assert endpoints.open == [0] and endpoints.take(0.2) is None and not endpoints.busy(())


def test_a_success_between_failures_starts_the_count_again() -> None:
    endpoints = Endpoints([1])
    failed_in_a_row(endpoints, 2)
    assert endpoints.take(0) == 0
    endpoints.succeeded(0)
    failed_in_a_row(endpoints, 2)
    assert endpoints.open == []


def test_a_server_that_is_gone_is_not_asked_twice() -> None:
    endpoints = Endpoints([4])
    assert endpoints.take(0) == 0
    endpoints.failed(0, 0, gone=True)
    assert endpoints.take(0) is None


def test_after_its_rest_one_batch_finds_out_and_others_wait_for_what_it_says() -> None:
    endpoints = Endpoints([4])
    failed_in_a_row(endpoints, 3)
    assert endpoints.take(0.25) == 0
    assert endpoints.take(0.25) is None
    endpoints.succeeded(0)
    assert [endpoints.take(0.25) for _ in range(5)] == [0, 0, 0, 0, None]


def test_a_server_whose_rest_is_over_goes_before_those_that_answer() -> None:
    endpoints = Endpoints([8, 8])
    assert endpoints.take(0) == 0
    endpoints.failed(0, 0, gone=True)
    assert endpoints.take(0.2) == 1
    assert endpoints.take(0.25) == 0


def test_every_rest_is_twice_the_last_up_to_eight_seconds() -> None:
    endpoints = Endpoints([1])
    failed_in_a_row(endpoints, 3)
    now_s = 0.0
    for rest_s in (0.25, 0.5, 1, 2, 4, 8, 8, 8):
        assert endpoints.take(now_s + rest_s - 0.01) is None
        now_s += rest_s
        assert endpoints.take(now_s) == 0
        endpoints.failed(0, now_s)
    assert endpoints.take(now_s + 8) == 0
    endpoints.succeeded(0)
    failed_in_a_row(endpoints, 3, now_s)  # and then the first rest is short again
    assert endpoints.take(now_s + 0.25) == 0


def test_failures_of_what_was_in_flight_do_not_lengthen_the_rest() -> None:
    endpoints = Endpoints([3])
    for _ in range(3):
        assert endpoints.take(0) == 0
    for _ in range(3):
        endpoints.failed(0, 0, gone=True)
    assert endpoints.take(0.25) == 0


def test_a_server_that_had_no_time_has_not_failed() -> None:
    endpoints = Endpoints([1])
    for _ in range(9):
        assert endpoints.take(0) == 0
        endpoints.hurried(0)
    assert endpoints.open == []


def test_an_unhealthy_server_is_not_asked_until_it_is_well() -> None:
    endpoints = Endpoints([1, 1])
    endpoints.checked(0, healthy=False)
    assert endpoints.open == [0]
    assert [endpoints.take(0), endpoints.take(0)] == [1, None]
    endpoints.checked(0, healthy=True)
    assert endpoints.take(0) == 0


@dataclass
class _Flying:
    index: int
    since_s: float


class Fleet(RuleBasedStateMachine):
    """Any schedule of batches, failures and health over three servers."""

    LIMITS = (1, 2, 3)

    def __init__(self) -> None:
        super().__init__()
        self.endpoints = Endpoints(self.LIMITS)
        self.flying: list[_Flying] = []
        self.sick: set[int] = set()
        self.gone_at_s: dict[int, float] = {}
        self.now_s = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.3, 1.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(tried=st.sets(st.integers(0, 2)))
    def take(self, tried: set[int]) -> None:
        index = self.endpoints.take(self.now_s, tried)
        if index is None:
            return
        assert index not in tried and index not in self.sick
        # The shortest rest there is: nobody is asked sooner after being gone.
        assert self.now_s - self.gone_at_s.get(index, -1.0) >= 0.25
        self.flying.append(_Flying(index, self.now_s))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), gone=st.booleans())
    def fail(self, data: st.DataObject, gone: bool) -> None:
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.endpoints.failed(batch.index, self.now_s, gone=gone)
        if gone and batch.since_s >= self.gone_at_s.get(batch.index, 0.0):
            self.gone_at_s.setdefault(batch.index, self.now_s)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.endpoints.succeeded(batch.index)
        self.gone_at_s.pop(batch.index, None)

    @rule(index=st.integers(0, 2), well=st.booleans())
    def tell_health(self, index: int, well: bool) -> None:
        self.endpoints.checked(index, healthy=well)
        (self.sick.discard if well else self.sick.add)(index)

    @invariant()
    def nobody_has_more_than_its_limit(self) -> None:
        for index, limit in enumerate(self.LIMITS):
            assert sum(batch.index == index for batch in self.flying) <= limit


TestFleet = Fleet.TestCase


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_servers_that_are_well_take_exactly_their_limits(limits: list[int]) -> None:
    endpoints = Endpoints(limits)
    taken = [endpoints.take(0) for _ in range(sum(limits))]
    assert endpoints.take(0) is None
    assert [taken.count(index) for index in range(len(limits))] == limits


@given(st.lists(st.booleans(), max_size=12))
def test_a_server_that_is_back_is_found_whatever_came_before(fates: list[bool]) -> None:
    endpoints = Endpoints([1])
    now_s = 0.0
    for fine in fates:
        now_s += 10  # longer than any rest
        assert endpoints.take(now_s) == 0
        if fine:
            endpoints.succeeded(0)
        else:
            endpoints.failed(0, now_s)
    now_s += 10
    assert endpoints.take(now_s) == 0
    endpoints.succeeded(0)
    assert endpoints.open == []


def test_a_fleet_of_nobody_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Endpoints([])
