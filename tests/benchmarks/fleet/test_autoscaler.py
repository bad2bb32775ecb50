"""The autoscaler's rule, by hand."""

from benchmarks.fleet.autoscaler import Autoscaler, Terms

TERMS = Terms(busy=0.7, tolerance=0.1, calm_s=300, least=2, most=50)


def test_nodes_are_asked_for_in_proportion_to_how_busy_they_are() -> None:
    """10 x 0.84 / 0.7 = 12; 10 x 0.85 / 0.7 = 12.1, so 13."""
    assert Autoscaler(TERMS).wanted(0, 10, 0.84) == 12
    assert Autoscaler(TERMS).wanted(0, 10, 0.85) == 13


def test_near_the_target_nothing_is_done() -> None:
    assert Autoscaler(TERMS).wanted(0, 10, 0.76) == 10
    assert Autoscaler(TERMS).wanted(0, 10, 0.64) == 10


def test_bounds_hold() -> None:
    assert Autoscaler(TERMS).wanted(0, 48, 1.0) == 50
    scaler = Autoscaler(TERMS)
    assert scaler.wanted(0, 3, 0.0) == 2
    assert Autoscaler(Terms(least=5)).wanted(0, 2, 0.7) == 5


def test_fewer_only_after_a_time_in_which_no_look_asked_for_more() -> None:
    scaler = Autoscaler(TERMS)
    assert scaler.wanted(0, 10, 0.70) == 10
    assert scaler.wanted(100, 10, 0.35) == 10
    assert scaler.wanted(300, 10, 0.35) == 10
    assert scaler.wanted(301, 10, 0.35) == 5


def test_an_old_high_asks_for_no_node_again() -> None:
    """It only holds back those that are there."""
    scaler = Autoscaler(TERMS)
    assert scaler.wanted(0, 10, 1.0) == 15
    assert scaler.wanted(15, 10, 0.7) == 10
