"""The server against the same work without one, in turns on the same cores."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cameras import closed_loop
from benchmarks.in_process import READY
from benchmarks.serving import cpu_s, serving

SERVER = "server"
# The best arrangement is one of these, by network and machine: lanes, and threads over all of them.
_ARRANGEMENTS = {"in_process_1_lane_2_threads": (1, 2), "in_process_2_lanes_1_thread": (2, 2)}
_IN_FLIGHT = 4
_WARM_UP = 30
_STOP_S = 10


def against_in_process(
    arguments: Sequence[str], picture: bytes, *, frames: int, rounds: int
) -> dict[str, object]:
    """Frames/s of one saturated stream and of both arrangements in process, and their ratio.

    All processes live all the time, so that none warms up in its turn; those whose turn it is not
    are idle, and `idle_cores` says how idle.
    """
    fps: dict[str, list[float]] = {name: [] for name in (SERVER, *_ARRANGEMENTS)}
    idle_s = elapsed_s = 0.0
    with ExitStack() as stack:
        server = stack.enter_context(serving(arguments))
        closed_loop(server.grpc, picture, in_flight=_IN_FLIGHT, frames=_WARM_UP)
        others = {
            name: stack.enter_context(_in_process(arguments, *lanes_and_threads))
            for name, lanes_and_threads in _ARRANGEMENTS.items()
        }
        pids = {SERVER: server.pid} | {name: other.process.pid for name, other in others.items()}
        for _ in range(rounds):
            for name, got in fps.items():
                idle_before_s, before_s = _others_cpu_s(pids, name), time.monotonic()
                if name == SERVER:
                    tally = closed_loop(server.grpc, picture, in_flight=_IN_FLIGHT, frames=frames)
                    got.append(tally.fps)
                else:
                    got.append(others[name].run(frames))
                idle_s += _others_cpu_s(pids, name) - idle_before_s
                elapsed_s += time.monotonic() - before_s
    return compared(fps) | {"idle_cores": round(idle_s / elapsed_s, 3)}


def compared(fps: dict[str, list[float]]) -> dict[str, object]:
    """Medians, and the server's over the better arrangement's."""
    medians = {name: statistics.median(got) for name, got in fps.items()}
    best = max((name for name in fps if name != SERVER), key=medians.__getitem__)
    in_turn = [mine / other for mine, other in zip(fps[SERVER], fps[best], strict=True)]
    return {
        "fps": {name: round(median, 1) for name, median in medians.items()},
        "fps_of_rounds": {name: [round(one, 1) for one in got] for name, got in fps.items()},
        "best_in_process": best,
        "ratio": round(medians[SERVER] / medians[best], 3),
        "ratio_of_rounds": [round(ratio, 3) for ratio in in_turn],
    }


@dataclass(frozen=True, slots=True)
class _InProcess:
    process: "subprocess.Popen[str]"

    def run(self, frames: int) -> float:
        """Frames/s of so many frames."""
        _put(self.process, f"{frames}\n")
        return float(_line(self.process))


@contextmanager
def _in_process(arguments: Sequence[str], lanes: int, threads: int) -> Iterator[_InProcess]:
    command = [
        *(sys.executable, "-m", "benchmarks.in_process"),
        *(f"--lanes={lanes}", f"--threads={threads}", *without_lanes(arguments)),
    ]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if _line(process).strip() != READY:
                raise SystemExit("benchmarks.in_process did not start")
            yield _InProcess(process)
        finally:
            process.terminate()
            process.wait(_STOP_S)


def without_lanes(arguments: Sequence[str]) -> list[str]:
    """The server's arguments without `--lanes` and `--threads`, written with = or without."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("--lanes", "--threads"):
            skip = True
        elif not argument.startswith(("--lanes=", "--threads=")):
            kept.append(argument)
    return kept


def _others_cpu_s(pids: dict[str, int], busy: str) -> float:
    return sum(cpu_s(pid) for name, pid in pids.items() if name != busy)


def _put(process: "subprocess.Popen[str]", text: str) -> None:
    if process.stdin is not None:
        process.stdin.write(text)
        process.stdin.flush()


def _line(process: "subprocess.Popen[str]") -> str:
    return process.stdout.readline() if process.stdout is not None else ""
