"""When each camera's frames are due and what became of them. Knows no clock and no connection."""

import json
import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fathom.geometry import F32

ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each frame is due, from the start of the run, whatever the server does.

    fps        at the first frame
    fps_per_s  by how much the camera quickens
    """

    fps: float
    frames: int
    offset_s: float = 0.0
    fps_per_s: float = 0.0

    def due_s(self, k: int) -> float:
        # k = fps t + fps_per_s t^2 / 2, solved so that nothing cancels and a steady rate is k / fps
        root = math.sqrt(self.fps**2 + 2 * self.fps_per_s * k)
        return self.offset_s + 2 * k / (self.fps + root)

    def newest(self, elapsed_s: float) -> int:
        """The last frame that is due by then; -1 before the first."""
        # A nanosecond of grace: k / fps * fps may come out just below k.
        since_s = elapsed_s - self.offset_s + 1e-9
        due = math.floor(frames_after(since_s, self.fps, self.fps_per_s))
        return max(-1, min(due, self.frames - 1))


def frames_after(seconds: float, fps: float, fps_per_s: float) -> float:
    """What a camera has sent by then, a part of a frame included."""
    return seconds * (fps + fps_per_s * seconds / 2)


def schedules(
    *, cameras: int, fps: float, seconds: float, fps_per_s: float = 0.0
) -> list[Schedule]:
    """Cameras of one rate, their first frames spread evenly over one frame's time."""
    frames = round(frames_after(seconds, fps, fps_per_s))
    return [Schedule(fps, frames, camera / (cameras * fps), fps_per_s) for camera in range(cameras)]


@dataclass(slots=True)
class Tally:
    """One camera while it runs: four bytes a timing, so that ten minutes of many fit.

    late_s   by how much each frame was handed to the connection after it was due
    due_s    of each answer with depth: when its frame was due, from the start of the run
    ages_s   and from then to receiving it
    closing  the server's own counts, once it has closed the stream
    """

    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    late_s: "array[float]" = field(default_factory=lambda: array("f"))
    due_s: "array[float]" = field(default_factory=lambda: array("f"))
    ages_s: "array[float]" = field(default_factory=lambda: array("f"))
    closing: Mapping[str, int] = field(default_factory=dict)

    def answered(self, due_s: float, age_s: float) -> None:
        self.due_s.append(due_s)
        self.ages_s.append(age_s)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """One camera after the run; fields as in `Tally`."""

    sent: int
    outcomes: Mapping[str, int]
    closing: Mapping[str, int]
    late_s: F32
    due_s: F32
    ages_s: F32

    @property
    def answered(self) -> int:
        return self.outcomes.get(ANSWERED, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What all cameras got in one run, and what the generator itself cost.

    seconds  that the cameras' schedules last
    """

    seconds: float
    cpu_s: float
    cameras: Sequence[Camera]

    @property
    def sent(self) -> int:
        return sum(camera.sent for camera in self.cameras)

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(sum((Counter(camera.outcomes) for camera in self.cameras), Counter()))

    @property
    def closing(self) -> dict[str, int]:
        return dict(sum((Counter(camera.closing) for camera in self.cameras), Counter()))

    @property
    def max_over_min(self) -> float:
        """Fairness: answers of the camera that got most by those of the one that got fewest."""
        answered = [camera.answered for camera in self.cameras]
        return max(answered) / min(answered) if min(answered) else float("inf")

    def answered_after(self, seconds: float) -> int:
        """Answers that came so long after the start, within the schedules' time."""
        return sum(
            int(np.count_nonzero((came_s >= seconds) & (came_s < self.seconds)))
            for came_s in (camera.due_s + camera.ages_s for camera in self.cameras)
        )


def write_run(path: Path, *, seconds: float, cpu_s: float, tallies: Sequence[Tally]) -> None:
    """Leave a run where another process reads it."""
    counts = [
        {"sent": tally.sent, "outcomes": tally.outcomes, "closing": dict(tally.closing)}
        for tally in tallies
    ]
    about = json.dumps({"seconds": seconds, "cpu_s": cpu_s, "cameras": counts})
    timings = {
        f"{name}_{i}": np.asarray(getattr(tally, name), np.float32)
        for i, tally in enumerate(tallies)
        for name in ("late_s", "due_s", "ages_s")
    }
    np.savez(path, about=np.array(about), **timings)  # type: ignore[arg-type]  # numpy/numpy#27151


def read_run(path: Path) -> Run:
    """What `write_run` left."""
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
        cameras = [
            Camera(
                **counts, **{name: file[f"{name}_{i}"] for name in ("late_s", "due_s", "ages_s")}
            )
            for i, counts in enumerate(about["cameras"])
        ]
    return Run(about["seconds"], about["cpu_s"], cameras)
