"""How many frames a batch takes: as the measured curve says, and never none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.batcher import CostCurve, batch_size

CURVES = st.dictionaries(st.sampled_from([2, 4, 8, 16]), st.floats(0, 1), max_size=4).flatmap(
    lambda larger: st.floats(0, 1).map(lambda one: CostCurve({1: one} | larger))
)


@given(waiting=st.integers(0, 100), lanes=st.integers(0, 8), curve=CURVES)
def test_while_a_frame_waits_one_is_taken_and_never_more_than_there_are(
    waiting: int, lanes: int, curve: CostCurve
) -> None:
    size = batch_size(waiting, lanes, curve)
    assert min(1, waiting) <= size <= min(waiting, curve.largest)


@given(waiting=st.integers(1, 100), lanes=st.integers(1, 8), curve=CURVES)
def test_a_larger_batch_is_taken_only_where_it_serves_more(
    waiting: int, lanes: int, curve: CostCurve
) -> None:
    size = batch_size(waiting, lanes, curve)
    assert size == 1 or curve.frames_per_s(size) > curve.frames_per_s(1)


@given(waiting=st.integers(1, 100), lanes=st.integers(1, 8), curve=CURVES)
def test_free_lanes_share_what_waits(waiting: int, lanes: int, curve: CostCurve) -> None:
    """Where one lane takes its batch, enough is left for each other one to do no worse."""
    assert (batch_size(waiting, lanes, curve) - 1) * lanes < waiting


@pytest.mark.parametrize("waiting", [1, 4, 100])
def test_where_cost_grows_with_frames_batches_gain_nothing(waiting: int) -> None:
    """Measured on two cores: four frames take four times as long, so they would only wait."""
    processor = CostCurve({1: 7e-3, 2: 14e-3, 4: 28e-3})
    assert batch_size(waiting, 1, processor) == 1


@pytest.mark.parametrize(("waiting", "size"), [(1, 1), (3, 3), (8, 8), (100, 8)])
def test_where_frames_are_nearly_free_all_are_taken_up_to_the_largest(
    waiting: int, size: int
) -> None:
    accelerator = CostCurve({1: 2e-3, 8: 3e-3})
    assert batch_size(waiting, 1, accelerator) == size


def test_a_gain_that_is_only_noise_is_no_reason_to_wait() -> None:
    assert batch_size(2, 1, CostCurve({1: 1.0, 2: 1.96})) == 1
    assert batch_size(2, 1, CostCurve({1: 1.0, 2: 1.8})) == 2


@given(frames=st.integers(1, 8), one=st.floats(0.001, 1), eight=st.floats(0.001, 1))
def test_sizes_between_the_measured_ones_lie_on_the_line(
    frames: int, one: float, eight: float
) -> None:
    curve = CostCurve({1: one, 8: eight})
    assert curve.cost_s(frames) == pytest.approx(one + (eight - one) * (frames - 1) / 7)
