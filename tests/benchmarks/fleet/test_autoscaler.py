"""The autoscaler's rule, by hand."""

from dataclasses import replace

from benchmarks.fleet.autoscaler import Autoscaler, Terms

# No bound but the rule's own.
FREE = Terms(
    target=0.7, tolerance=0.1, hold_s=0, calm_s=0, up=99, down=99, least=2, most=50, every_s=15
)


def test_nodes_are_asked_for_in_proportion_to_what_is_measured() -> None:
    """10 x 0.84 / 0.7 = 12; 10 x 0.85 / 0.7 = 12.1, so 13; 10 x 0.35 / 0.7 = 5."""
    assert Autoscaler(FREE, 10).wanted(0, 10, 0.84) == 12
    assert Autoscaler(FREE, 10).wanted(0, 10, 0.85) == 13
    assert Autoscaler(FREE, 10).wanted(0, 10, 0.35) == 5


def test_near_the_target_nothing_is_done() -> None:
    assert Autoscaler(FREE, 10).wanted(0, 10, 0.76) == 10
    assert Autoscaler(FREE, 10).wanted(0, 10, 0.64) == 10
    # Nor are those that start taken back.
    assert Autoscaler(FREE, 12).wanted(0, 10, 0.70) == 12


def test_bounds_hold() -> None:
    assert Autoscaler(FREE, 48).wanted(0, 48, 1.0) == 50
    assert Autoscaler(FREE, 3).wanted(0, 3, 0.0) == 2


def test_more_only_where_every_look_for_a_time_asked_for_more() -> None:
    scaler = Autoscaler(replace(FREE, hold_s=30), 10)
    assert [scaler.wanted(at_s, 10, 0.70) for at_s in (0, 15)] == [10, 10]
    assert [scaler.wanted(at_s, 10, 0.91) for at_s in (30, 45, 60)] == [10, 10, 13]


def test_fewer_only_where_for_a_time_no_look_asked_for_more() -> None:
    scaler = Autoscaler(replace(FREE, calm_s=300), 10)
    assert scaler.wanted(0, 10, 0.70) == 10
    assert [scaler.wanted(at_s, 10, 0.35) for at_s in (100, 300, 301)] == [10, 10, 5]


def test_at_most_so_many_more_in_a_time() -> None:
    """Two a minute: at 0 and at 60 s, not between."""
    scaler = Autoscaler(replace(FREE, up=2, up_s=60), 10)
    wanted = [scaler.wanted(at_s, 10, 1.0) for at_s in (0, 15, 45, 61)]
    assert wanted == [12, 12, 12, 14]


def test_at_most_so_many_fewer_in_a_time() -> None:
    scaler = Autoscaler(replace(FREE, down=1, down_s=300), 10)
    wanted = [scaler.wanted(at_s, 10, 0.1) for at_s in (0, 15, 300, 301)]
    assert wanted == [9, 9, 9, 8]
