"""How many nodes there should be. Knows no node, frame or clock: time arrives as an argument.

The rule of Kubernetes' HorizontalPodAutoscaler (its documentation, "Algorithm details"), on the
share of time that lanes have a batch: that rises before frames are skipped. A frame's age cannot
tell in time, for a stream's one slot keeps it low however many frames are lost.
"""

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When nodes are added and taken away.

    busy       share of time that lanes should have a batch
    tolerance  so near to that share nothing is done
    every_s    between two looks
    start_s    from asking for a node until it is ready
    calm_s     fewer nodes only where so long no look asked for more
    """

    busy: float = 0.7
    tolerance: float = 0.1
    every_s: float = 15.0
    start_s: float = 30.0
    calm_s: float = 300.0
    least: int = 1
    most: int = 10_000


class Autoscaler:
    """One fleet's looks and what they asked for."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._asked: deque[tuple[float, int]] = deque()

    def wanted(self, now_s: float, ready: int, busy: float) -> int:
        """Nodes there should be.

        ready  nodes that serve now
        busy   the mean share of time, since the last look, that their lanes had a batch
        """
        terms = self._terms
        ratio = busy / terms.busy
        near = abs(ratio - 1) <= terms.tolerance
        asked = ready if near else math.ceil(ready * ratio - 1e-9)
        asked = min(terms.most, max(terms.least, asked))
        self._asked.append((now_s, asked))
        while self._asked[0][0] < now_s - terms.calm_s:
            self._asked.popleft()
        return max(asked, min(ready, max(count for _, count in self._asked)))
