"""Each figure by hand (T18)."""

import numpy as np
import pytest

from training.evaluation.metrics import Metrics, edge_f1, mean_metrics, measure


def metres(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def test_metrics_of_three_for_two() -> None:
    found = measure(np.full(5, 3, np.float32), np.full(5, 2, np.float32))
    assert found.abs_rel == pytest.approx(0.5)
    assert found.sq_rel == pytest.approx(0.5)
    assert found.rmse == pytest.approx(1.0)
    assert found.rmse_log == pytest.approx(0.405465, abs=1e-6)
    assert found.log10 == pytest.approx(0.176091, abs=1e-6)
    assert (found.delta1, found.delta2, found.delta3) == (0, 1, 1)  # 1.25 < 1.5 < 1.5625
    assert found.silog == pytest.approx(0, abs=1e-3)


def test_metrics_of_one_for_ten() -> None:
    assert measure(np.ones(4, np.float32), np.full(4, 10, np.float32)).log10 == pytest.approx(1)


def test_silog_of_errors_that_differ() -> None:
    # log errors 1 and 0: variance 1/4, times 100 under the root of it
    assert measure(metres(np.e, 1), metres(1, 1)).silog == pytest.approx(50, rel=1e-5)


def test_a_ratio_at_the_bound_counts_only_where_it_is_said_to() -> None:
    assert measure(metres(1.25, 1), metres(1, 1)).delta1 == 0.5
    assert measure(metres(1.25, 1), metres(1, 1), inclusive=True).delta1 == 1


def test_every_picture_counts_the_same() -> None:
    near = measure(np.full(1000, 2, np.float32), np.full(1000, 2, np.float32))
    far = measure(np.full(10, 4, np.float32), np.full(10, 2, np.float32))
    assert mean_metrics([near, far]).abs_rel == pytest.approx(0.5)


def with_edges(f1: float | None) -> Metrics:
    plain = measure(metres(1), metres(1))
    return Metrics(**{name: getattr(plain, name) for name in plain.__slots__[:-1]}, edge_f1=f1)


def test_pictures_without_edges_do_not_count_for_edges() -> None:
    assert mean_metrics([with_edges(0.2), with_edges(None), with_edges(0.4)]).edge_f1 == (
        pytest.approx(0.3)
    )
    assert mean_metrics([with_edges(None)]).edge_f1 is None


def step(at: int, metres: float = 1.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A wall at 2 m that steps back by `metres` between columns at - 1 and at."""
    depth_m = np.full((6, 12), 2, np.float32)
    depth_m[:, at:] += np.float32(metres)
    return depth_m


ALL = np.ones((6, 12), np.bool_)


def test_edges_where_they_should_be() -> None:
    assert edge_f1(step(6), step(6), ALL) == 1
    # Sobel sees a step in the two columns beside it: one of two is shared, so half is right.
    assert edge_f1(step(7), step(6), ALL) == pytest.approx(0.5)
    assert edge_f1(step(9), step(6), ALL) == 0
    assert edge_f1(step(6, 0), step(6), ALL) == 0


def test_low_steps_are_edges_of_low_heights_only() -> None:
    # 4 times 0.1 m is above 0.25 and below 0.5 and 1: found at the first of three heights.
    assert edge_f1(step(6, 0.1), step(6), ALL) == pytest.approx(1 / 3)
    # Heights that the truth does not reach are left out.
    assert edge_f1(step(6, 0.1), step(6, 0.1), ALL) == 1


def test_edges_that_are_not_compared() -> None:
    """Unless all of its neighbours count, a pixel's gradient is not known."""
    assert edge_f1(step(6), step(6, 0), ALL) is None
    left = ALL.copy()
    left[:, 6:] = False
    assert edge_f1(step(9), step(6), left) is None
    assert edge_f1(step(6), step(6), np.zeros_like(ALL)) is None
