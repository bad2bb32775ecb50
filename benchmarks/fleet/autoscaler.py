"""How many nodes there should be. Knows no node, frame or clock: time arrives as an argument.

The rule of Kubernetes' HorizontalPodAutoscaler (its documentation, "Algorithm details"): as many
nodes more as what is measured is above its target. Its bounds are those of
`deploy/kubernetes/base/autoscaling.yaml`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

# Means over nodes: the share of time that lanes had a batch; the p99 of answers' ages, in seconds.
Metric: TypeAlias = Literal["busy", "age"]
TARGETS: Mapping[Metric, float] = MappingProxyType({"busy": 0.7, "age": 0.030})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When nodes are added and taken away.

    target     of the metric, taken since the last look
    tolerance  so near to that, as a share of it, nothing is done
    every_s    between two looks
    start_s    from asking for a node until it is ready
    hold_s     more nodes only where every look so long asked for more
    calm_s     fewer nodes only where so long no look asked for more
    up         at most so many nodes more in `up_s`
    down       at most so many nodes fewer in `down_s`
    """

    metric: Metric = "busy"
    target: float = TARGETS["busy"]
    tolerance: float = 0.1
    every_s: float = 15.0
    start_s: float = 30.0
    hold_s: float = 30.0
    calm_s: float = 600.0
    up: int = 2
    up_s: float = 60.0
    down: int = 1
    down_s: float = 300.0
    least: int = 1
    most: int = 10_000


class Autoscaler:
    """One fleet's looks, what they asked for and what was granted."""

    def __init__(self, terms: Terms, nodes: int) -> None:
        self._terms = terms
        self._asked: list[tuple[float, int]] = []
        self._granted = [(-math.inf, nodes)]

    def wanted(self, now_s: float, ready: int, value: float) -> int:
        """Nodes there should be, those that start included.

        ready  nodes that serve now
        value  of the metric since the last look
        """
        terms, last = self._terms, self._granted[-1][1]
        ratio = value / terms.target
        near = abs(ratio - 1) <= terms.tolerance
        self._asked.append((now_s, last if near else math.ceil(ready * ratio - 1e-9)))
        all_ask_for = min(_within(self._asked, now_s - terms.hold_s))
        none_asks_for_more_than = max(_within(self._asked, now_s - terms.calm_s))
        wanted = max(all_ask_for, min(last, none_asks_for_more_than))
        # What was granted before a period held at its beginning.
        most = min(_within(self._granted, now_s - terms.up_s, before=1)) + terms.up
        fewest = max(_within(self._granted, now_s - terms.down_s, before=1)) - terms.down
        wanted = min(most, max(fewest, wanted), terms.most)
        wanted = max(wanted, terms.least)
        self._granted.append((now_s, wanted))
        return wanted


def _within(course: Iterable[tuple[float, int]], since_s: float, before: int = 0) -> list[int]:
    """The counts since then, with so many of the last ones before."""
    earlier = [count for at_s, count in course if at_s < since_s]
    return earlier[len(earlier) - before :] + [count for at_s, count in course if at_s >= since_s]
