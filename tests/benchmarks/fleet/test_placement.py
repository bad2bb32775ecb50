"""Placement: who goes where, how evenly, and who moves when a node goes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fleet.placement import PLACEMENTS, placement_of, surplus


def placed(name: str, *, cameras: int = 2000, nodes: int = 40, seed: int = 0) -> list[int]:
    """Streams of each node, every camera seeing those before it."""
    choose = placement_of(name, np.random.default_rng(seed))
    loads = dict.fromkeys(range(nodes), 0)
    for camera in range(cameras):
        loads[choose(camera, 1, loads)] += 1
    return list(loads.values())


@pytest.mark.parametrize("seed", range(3))
def test_two_choices_are_flatter_than_one(seed: int) -> None:
    """50 a node; chance alone gives a spread of about 7, a second choice one of about 1."""
    one, two = placed("random", seed=seed), placed("two-choices", seed=seed)
    assert np.std(two) < np.std(one) / 3
    assert max(two) < max(one)
    assert np.std(placed("least-loaded", seed=seed)) == 0


@pytest.mark.parametrize("name", sorted(PLACEMENTS))
@pytest.mark.parametrize("nodes", [[7], [2, 9], [0, 4, 5]])
def test_a_placement_names_a_node_that_is_known(name: str, nodes: list[int]) -> None:
    choose = placement_of(name, np.random.default_rng(0))
    loads = dict.fromkeys(nodes, 3)
    chosen = {choose(camera, attempt, loads) for camera in range(40) for attempt in (1, 2, 3, 4)}
    if name == "least-loaded":
        assert chosen == {nodes[0]}
    else:
        assert chosen == set(nodes)


def test_two_choices_are_two() -> None:
    """With two nodes both are looked at, so the fuller one is never taken."""
    choose = placement_of("two-choices", np.random.default_rng(0))
    assert {choose(camera, 1, {0: 5, 1: 4}) for camera in range(100)} == {1}


def test_old_reports_send_all_to_the_least_loaded_and_not_by_two_choices() -> None:
    loads = {node: 10 + node for node in range(20)}
    least = placement_of("least-loaded", np.random.default_rng(0))
    two = placement_of("two-choices", np.random.default_rng(0))
    assert {least(camera, 1, loads) for camera in range(200)} == {0}
    assert max(Counter(two(camera, 1, loads) for camera in range(200)).values()) < 50


def test_with_affinity_only_cameras_of_a_lost_node_move() -> None:
    choose = placement_of("affinity", np.random.default_rng(0))
    loads = dict.fromkeys(range(10), 0)
    before = {camera: choose(camera, 1, loads) for camera in range(500)}
    assert before == {camera: choose(camera, 1, loads) for camera in range(500)}
    del loads[3]
    for camera, node in before.items():
        assert (choose(camera, 1, loads) == node) == (node != 3)


def test_with_affinity_a_refused_camera_goes_to_the_next_best() -> None:
    """Which is where it would go if the first were not there."""
    choose = placement_of("affinity", np.random.default_rng(0))
    loads = dict.fromkeys(range(5), 0)
    for camera in range(50):
        first = choose(camera, 1, loads)
        others = {node: 0 for node in loads if node != first}
        assert choose(camera, 2, loads) == choose(camera, 1, others)
        assert choose(camera, 6, loads) == first


@given(st.dictionaries(st.integers(0, 20), st.integers(0, 50), min_size=1))
def test_who_gives_up_its_surplus_has_a_fair_share_left(streams: dict[int, int]) -> None:
    given_up = surplus(streams)
    share = int(np.ceil(sum(streams.values()) / len(streams)))
    assert all(streams[node] - count == share for node, count in given_up.items())
    assert all(count <= share for node, count in streams.items() if node not in given_up)
