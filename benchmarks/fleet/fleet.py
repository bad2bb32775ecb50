"""A scene in simulated time: cameras, nodes, who is placed where, and what goes wrong.

Everything that a real fleet decides by the code of this repository is decided by that code here:
the cores of `server/core` in every node, the client's back-off in every camera. What stands between
them, the balancer, the reports of load and the autoscaler, is not part of Fathom and is modelled.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from benchmarks.fleet.autoscaler import Autoscaler, Terms
from benchmarks.fleet.books import Books
from benchmarks.fleet.camera import Camera
from benchmarks.fleet.costs import Costs
from benchmarks.fleet.node import Node
from benchmarks.fleet.placement import Loads, placement_of, surplus
from benchmarks.fleet.timeline import Timeline
from benchmarks.tallies import Schedule, frames_after
from fathom.session.reconnect import Backoff, Reconnect
from server.core.scheduler import Bounds

# When, and how many: for a picture of what a fleet was like.
Course: TypeAlias = list[tuple[float, int]]

_LOOK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is simulated.

    fps_per_s   by how much every camera quickens
    seconds     that cameras send; the last frames are waited for
    ramp_s      cameras come one by one over so long
    spread      True: first frames at random times within a frame's time; False: evenly
    placement   see `placement`
    zones       nodes are dealt to them in turn
    lose        nodes that die at `lose_at_s`
    lose_zone   whether all of the first zone die then
    notice_s    from a node's death until its cameras notice
    report_s    between two reports of the nodes to the balancer
    streams     that a node takes, its `--max-streams`
    autoscale   None: the nodes stay those of the start
    move        whether somebody moves open streams to new nodes; Fathom does not
    """

    cameras: int
    fps: float
    nodes: int
    seconds: float
    fps_per_s: float = 0.0
    ramp_s: float = 0.0
    spread: bool = True
    placement: str = "two-choices"
    zones: int = 3
    lose: int = 0
    lose_zone: bool = False
    lose_at_s: float = 0.0
    notice_s: float = 1.0
    report_s: float = 1.0
    streams: int = 64
    autoscale: Terms | None = None
    move: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a scene came to.

    streams    of each node that serves at the end
    busy       share of the scene's time that the lanes of the same nodes had a batch
    connected  cameras with a stream, and `nodes` that serve, over time
    """

    scene: Scene
    books: Books
    streams: list[int]
    busy: list[float]
    connected: Course
    nodes: Course


def simulate(scene: Scene, costs: Costs) -> Outcome:
    """Play a scene to its end, when every frame has its outcome."""
    return Fleet(scene, costs).run()


@dataclass(slots=True)
class _Balancer:
    """What is known of the nodes: as much as they last reported."""

    loads: dict[int, int] = field(default_factory=dict)

    def report(self, nodes: Iterable[Node]) -> None:
        self.loads = {
            node.number: node.streams for node in nodes if node.alive and not node.draining
        }


class Fleet:
    """One scene while it is played."""

    def __init__(self, scene: Scene, costs: Costs) -> None:
        self._scene, self._costs = scene, costs
        self._timeline = Timeline()
        self._books = Books(scene.cameras)
        phases, chances, choices = np.random.default_rng(scene.seed).spawn(3)
        self._choose = placement_of(scene.placement, choices)
        self._nodes: list[Node] = []
        self._starting = 0
        self._balancer = _Balancer()
        self._cameras = [
            Camera(
                number,
                self._timeline,
                plan,
                self._find,
                Backoff(Reconnect(), jitter=chances.random),
            )
            for number, plan in enumerate(_plans(scene, phases))
        ]
        self._connected: Course = []
        self._serving: Course = []

    def run(self) -> Outcome:
        scene, timeline = self._scene, self._timeline
        for _ in range(scene.nodes):
            self._add_node()
        self._open_streams()
        timeline.every(scene.report_s, scene.seconds, self._report)
        timeline.every(_LOOK_S, scene.seconds, self._look)
        if scene.lose or scene.lose_zone:
            timeline.at(scene.lose_at_s, self._lose)
        if scene.autoscale is not None:
            self._autoscale(scene.autoscale)
        self._look()
        busy: list[float] = []
        timeline.at(scene.seconds, lambda: busy.extend(self._busy()))
        timeline.run()
        serving = self._ready()
        return Outcome(
            scene=scene,
            books=self._books,
            streams=[node.streams for node in serving],
            busy=busy,
            connected=self._connected,
            nodes=self._serving,
        )

    def _busy(self) -> list[float]:
        lane_s = self._scene.seconds * self._costs.lanes
        return [node.busy_s / lane_s for node in self._ready()]

    def _open_streams(self) -> None:
        """All at once, each seeing those before it; or one by one, by what was last reported."""
        scene = self._scene
        for camera in self._cameras:
            if scene.ramp_s:
                at_s = camera.number / scene.cameras * scene.ramp_s
                self._timeline.at(at_s, camera.start, self._books)
            else:
                camera.start(self._books)
                if camera.link is not None:
                    self._balancer.loads[camera.link.node.number] += 1

    def _find(self, camera: int, attempt: int) -> Node | None:
        loads: Loads = self._balancer.loads
        return self._nodes[self._choose(camera, attempt, loads)] if loads else None

    def _ready(self) -> list[Node]:
        return [node for node in self._nodes if node.alive and not node.draining]

    def _report(self) -> None:
        self._balancer.report(self._nodes)

    def _look(self) -> None:
        now_s = self._timeline.now_s
        connected = sum(
            camera.link is not None and camera.link.node.alive for camera in self._cameras
        )
        self._connected.append((now_s, connected))
        self._serving.append((now_s, len(self._ready())))

    def _add_node(self) -> None:
        bounds = Bounds(streams=self._scene.streams)
        node = Node(len(self._nodes), self._timeline, self._costs, bounds, self._scene.seed)
        self._nodes.append(node)
        self._balancer.loads[node.number] = 0

    def _lose(self) -> None:
        scene = self._scene
        ready = self._ready()
        lost = [node for node in ready if scene.lose_zone and node.number % scene.zones == 0]
        lost += [node for node in ready if node not in lost][: scene.lose]
        for node in lost:
            node.die()
        at_s = self._timeline.now_s + scene.notice_s
        for camera in self._cameras:
            if camera.link is not None and not camera.link.node.alive:
                self._timeline.at(at_s, camera.lost, camera.link)

    def _autoscale(self, terms: Terms) -> None:
        autoscaler = Autoscaler(terms, self._scene.nodes)

        def look() -> None:
            ready = self._ready()
            values = [
                node.busy_share(terms.every_s) if terms.metric == "busy" else node.age_p99_s()
                for node in ready
            ]
            mean = sum(values) / max(1, len(values))
            wanted = autoscaler.wanted(self._timeline.now_s, len(ready), mean)
            more = wanted - len(ready) - self._starting
            if more > 0:
                self._starting += more
                self._timeline.at(self._timeline.now_s + terms.start_s, self._started, more)
            elif not self._starting:
                self._stop(ready[wanted:])

        self._timeline.every(terms.every_s, self._scene.seconds, look)

    def _started(self, nodes: int) -> None:
        """So many nodes are ready."""
        self._starting -= nodes
        for _ in range(nodes):
            self._add_node()
        if self._scene.move:
            self._move()

    def _move(self) -> None:
        """Cut streams beyond a fair share where they are: how they come to new nodes."""
        self._report()
        left = surplus({node.number: node.streams for node in self._ready()})
        for camera in self._cameras:
            number = -1 if camera.link is None else camera.link.node.number
            if left.get(number, 0) > 0:
                left[number] -= 1
                camera.cut()

    def _stop(self, nodes: list[Node]) -> None:
        for node in nodes:
            node.stop()
            for camera in self._cameras:
                if camera.link is not None and camera.link.node is node:
                    camera.ended()


def _plans(scene: Scene, rng: np.random.Generator) -> list[Schedule]:
    """Each camera's frames; one that comes later sends the fewer."""
    plans = []
    for camera in range(scene.cameras):
        share = camera / scene.cameras
        phase = rng.random() if scene.spread else share
        first_s = share * scene.ramp_s + phase / scene.fps
        left_s = max(0.0, scene.seconds - first_s)
        frames = math.ceil(frames_after(left_s, scene.fps, scene.fps_per_s) - 1e-9)
        plans.append(Schedule(scene.fps, frames, first_s, scene.fps_per_s))
    return plans
