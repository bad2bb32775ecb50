import dataclasses
import math

import pytest

from fathom.errors import Code, FathomError
from fathom.values import Colours, Failed, Options, Output


def code_of(error: pytest.ExceptionInfo[FathomError]) -> Code:
    return error.value.code


@pytest.mark.parametrize("smoothing", [-0.01, 1.01, math.nan, math.inf])
def test_smoothing_goes_from_nothing_to_one(smoothing: float) -> None:
    with pytest.raises(FathomError) as error:
        Options(smoothing=smoothing)
    assert code_of(error) is Code.BAD_OPTION


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, -1), (10_000, 10_000)])
def test_an_output_has_pixels_and_fits_in_memory(size: tuple[int, int]) -> None:
    with pytest.raises(FathomError) as error:
        Options(output=size)
    assert code_of(error) is Code.BAD_OPTION


def test_an_output_may_be_any_size_up_to_the_bound() -> None:
    assert Options(output=(1, 1)).output == (1, 1)
    assert Options(output=(5_000, 10_000)).output == (5_000, 10_000)
    assert Options(output=Output.SOURCE).output is Output.SOURCE


@pytest.mark.parametrize(
    ("near_m", "far_m"),
    [(-1.0, 2.0), (2.0, 2.0), (3.0, 2.0), (0.0, math.inf), (math.nan, 2.0), (0.0, math.nan)],
)
def test_colours_need_a_range(near_m: float, far_m: float) -> None:
    with pytest.raises(FathomError) as error:
        Colours(near_m=near_m, far_m=far_m)
    assert code_of(error) is Code.BAD_OPTION


def test_values_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().smoothing = 0.5  # type: ignore[misc]  # the point


def test_an_error_becomes_an_answer_and_an_error_again() -> None:
    error = FathomError(Code.BAD_IMAGE, expected="this", got="that", repair="do so")
    failed = Failed.from_error(3, error, age_s=0.25)
    assert (failed.seq, failed.age_s) == (3, 0.25)
    assert failed.as_error().args == error.args
