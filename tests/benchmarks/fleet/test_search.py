"""The fewest that hold: any threshold is found from any guess, and few are asked."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fleet.search import fewest


@given(st.integers(1, 3000), st.integers(-5, 3000))
def test_any_threshold_is_found_from_any_guess(threshold: int, guess: int) -> None:
    assert fewest(lambda number: number >= threshold, guess) == threshold


def test_near_the_answer_few_are_asked() -> None:
    asked: list[int] = []

    def holds(number: int) -> bool:
        asked.append(number)
        return number >= 612

    assert fewest(holds, 588) == 612
    assert asked[0] == 588
    assert len(asked) <= 8
    assert len(set(asked)) == len(asked)
