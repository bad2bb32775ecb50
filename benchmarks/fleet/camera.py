"""A camera in simulated time: frames when they are due, and a stream that is found again.

It sends as `benchmarks/generator.py` does, into a stream with the policy `latest`, and comes back
as `fathom/session` does, by the same back-off. Every frame gets exactly one outcome.
"""

from collections.abc import Callable
from itertools import count

from benchmarks.fleet.books import LOST, Books
from benchmarks.fleet.node import Node
from benchmarks.fleet.timeline import Timeline
from benchmarks.tallies import Schedule
from fathom.errors import FathomError
from fathom.session.reconnect import Backoff

# Gives a camera a node for its so-manieth attempt, counted from 1; None if none is known.
Find = Callable[[int, int], Node | None]


class Link:
    """One stream on one node, as long as both last."""

    def __init__(self, camera: int, node: Node, books: Books) -> None:
        self.node = node
        self._camera = camera
        self._books = books
        self._seq = count(1)
        self._in_flight = 0
        self._stream = node.open(self._deliver, f"camera-{camera}")

    def send(self, captured_s: float) -> None:
        """A frame arrives at the node, if that lives."""
        self._in_flight += 1
        if self.node.alive:
            self.node.offer(self._stream, next(self._seq), captured_s)

    def lost(self) -> None:
        """The node is gone: what it has not answered it never will."""
        self._books.settle_all(self._camera, LOST, self._in_flight)
        self._in_flight = 0

    def cut(self) -> None:
        """Somebody between ended the connection: the node takes the client for gone."""
        self.node.close(self._stream)
        self.lost()

    def _deliver(self, outcome: str, captured_s: float, received_s: float) -> None:
        self._in_flight -= 1
        self._books.settle(self._camera, outcome, captured_s, received_s - captured_s)


class Camera:
    """One camera from its first frame to its last."""

    def __init__(
        self, number: int, timeline: Timeline, plan: Schedule, find: Find, backoff: Backoff
    ) -> None:
        self.number = number
        self.link: Link | None = None
        self._timeline = timeline
        self._plan = plan
        self._find = find
        self._backoff = backoff
        self._k = 0

    def start(self, books: Books) -> None:
        """Open a stream and send the first frame when it is due."""
        self._books = books
        self._attempt()
        if self._plan.frames:
            self._timeline.at(max(self._timeline.now_s, self._arrival_s()), self._frame)

    def lost(self, link: Link) -> None:
        """The camera notices that a connection is gone, unless it has another one already."""
        if self.link is link:
            self.link = None
            link.lost()
            self._search()

    def cut(self) -> None:
        """Its connection is ended from outside; it finds another."""
        if self.link is not None and self.link.node.alive:
            self.link.cut()
            self.link = None
            self._search()

    def ended(self) -> None:
        """Its node stops: no new frame goes there, and those under way are answered."""
        self.link = None
        self._search()

    def _search(self) -> None:
        self._backoff.lost(self._timeline.now_s)
        self._again()

    def _again(self) -> None:
        wait_s = self._backoff.next_s(self._timeline.now_s)
        if wait_s is not None:
            self._timeline.at(self._timeline.now_s + wait_s, self._attempt)

    def _attempt(self) -> None:
        if self._k == self._plan.frames:
            return  # it has nothing more to send
        node = self._find(self.number, max(1, self._backoff.attempts))
        try:
            if node is not None and node.alive and not node.draining:
                self.link = Link(self.number, node, self._books)
        except FathomError:
            pass  # full: the next attempt may find another
        if self.link is None:
            self._again()
        else:
            self._backoff.connected(self._timeline.now_s)

    def _arrival_s(self) -> float:
        way_s = 0.0 if self.link is None else self.link.node.way_s
        return self._plan.due_s(self._k) + way_s

    def _frame(self) -> None:
        captured_s = self._plan.due_s(self._k)
        self._k += 1
        self._books.sent(self.number)
        if self.link is None:
            self._books.settle_all(self.number, LOST, 1)
        else:
            self.link.send(captured_s)
        if self._k < self._plan.frames:
            # One picture does not overtake the one before it.
            self._timeline.at(max(self._timeline.now_s, self._arrival_s()), self._frame)
