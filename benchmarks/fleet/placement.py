"""Which node a camera's stream is opened on. Knows no frame and no time.

What is known of the nodes is as old as their last report: between two of them everybody sees the
same loads, and least loaded sends them all to one node. Two choices sees as little and does not.

Two choices is Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001; affinity
is rendezvous hashing, Thaler and Ravishankar, 1998.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

# Streams by node, as of the last reports.
Loads: TypeAlias = Mapping[int, int]
# A camera, which attempt it is (from 1), and what is known; at least one node.
Placement: TypeAlias = Callable[[int, int, Loads], int]


def placement_of(name: str, rng: np.random.Generator) -> Placement:
    """A placement by its name in PLACEMENTS."""
    return PLACEMENTS[name](rng)


def _anywhere(rng: np.random.Generator) -> Placement:
    def choose(camera: int, attempt: int, loads: Loads) -> int:  # noqa: ARG001
        nodes = list(loads)
        return nodes[rng.integers(len(nodes))]

    return choose


def _affinity(rng: np.random.Generator) -> Placement:  # noqa: ARG001
    def choose(camera: int, attempt: int, loads: Loads) -> int:
        """The same node as long as it is there; the next best where that one refused."""
        if attempt == 1:
            return max(loads, key=lambda node: _weight(camera, node))
        ranked = sorted(loads, key=lambda node: _weight(camera, node), reverse=True)
        return ranked[(attempt - 1) % len(ranked)]

    return choose


def _least_loaded(rng: np.random.Generator) -> Placement:  # noqa: ARG001
    return lambda camera, attempt, loads: min(loads, key=lambda node: loads[node])  # noqa: ARG005


def _two_choices(rng: np.random.Generator) -> Placement:
    def choose(camera: int, attempt: int, loads: Loads) -> int:  # noqa: ARG001
        nodes = list(loads)
        first = int(rng.integers(len(nodes)))
        second = (first + int(rng.integers(1, max(2, len(nodes))))) % len(nodes)
        return min(nodes[first], nodes[second], key=lambda node: loads[node])

    return choose


def _weight(camera: int, node: int) -> bytes:
    return blake2b(b"%d/%d" % (camera, node), digest_size=8).digest()


PLACEMENTS: Mapping[str, Callable[[np.random.Generator], Placement]] = MappingProxyType(
    {
        "random": _anywhere,
        "affinity": _affinity,
        "least-loaded": _least_loaded,
        "two-choices": _two_choices,
    }
)


def surplus(streams: Mapping[int, int]) -> dict[int, int]:
    """How many streams each node is to give up so that none has more than its share, rounded up."""
    share = -(-sum(streams.values()) // max(1, len(streams)))
    return {node: count - share for node, count in streams.items() if count > share}
