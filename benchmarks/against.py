"""The server against the same work without one, in turns on the same cores.

server   its client costs next to nothing: it speaks gRPC on its socket (`benchmarks.wire`)
lean     the same server; a client by gRPC's library that builds no message and reads no answer
session  the same server; a client as programs use it
bare     the same work behind nothing but gRPC, as the server sets it, and the client of `server`:
         what is left of the rate in process for any server of this library
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import lean, wire
from benchmarks.cameras import closed_loop
from benchmarks.in_process import READY
from benchmarks.serving import announced, cpu_s, serving
from server.process import GRPC_ENVIRONMENT

SERVER, LEAN, SESSION, BARE = "server", "lean", "session", "bare"
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
    idle_s = elapsed_s = 0.0
    with ExitStack() as stack:
        server = stack.enter_context(serving(arguments))
        bare = stack.enter_context(
            announced("benchmarks.bare", *arguments, environment=GRPC_ENVIRONMENT)
        )
        others = {
            name: stack.enter_context(_in_process(arguments, *lanes_and_threads))
            for name, lanes_and_threads in _ARRANGEMENTS.items()
        }
        turns: dict[str, tuple[int, Callable[[int], float]]] = {
            SERVER: (server.pid, lambda n: _wire(server.grpc, picture, n, bare=False)),
            LEAN: (server.pid, lambda n: _lean(server.grpc, picture, n)),
            SESSION: (server.pid, lambda n: _session(server.grpc, picture, n)),
            BARE: (bare.pid, lambda n: _wire(bare.target, picture, n, bare=True)),
        }
        turns |= {name: (other.process.pid, other.run) for name, other in others.items()}
        for _, run in turns.values():
            run(_WARM_UP)
        fps: dict[str, list[float]] = {name: [] for name in turns}
        pids = {pid for pid, _ in turns.values()}
        for _ in range(rounds):
            for name, (pid, run) in turns.items():
                idle_before_s, before_s = _cpu_s(pids - {pid}), time.monotonic()
                fps[name].append(run(frames))
                idle_s += _cpu_s(pids - {pid}) - idle_before_s
                elapsed_s += time.monotonic() - before_s
    return compared(fps) | {"idle_cores": round(idle_s / elapsed_s, 3)}


def _wire(target: str, picture: bytes, frames: int, *, bare: bool) -> float:
    return wire.saturate(target, picture, in_flight=_IN_FLIGHT, frames=frames, bare=bare)


def _lean(target: str, picture: bytes, frames: int) -> float:
    return lean.saturate(target, picture, in_flight=_IN_FLIGHT, frames=frames)


def _session(target: str, picture: bytes, frames: int) -> float:
    return closed_loop(target, picture, in_flight=_IN_FLIGHT, frames=frames).fps


def compared(fps: dict[str, list[float]]) -> dict[str, object]:
    """Medians, and what each has of the better arrangement in process."""
    medians = {name: statistics.median(got) for name, got in fps.items()}
    best = max(_ARRANGEMENTS, key=medians.__getitem__)
    share = {name: round(median / medians[best], 3) for name, median in medians.items()}
    in_turn = [mine / other for mine, other in zip(fps[SERVER], fps[best], strict=True)]
    return {
        "fps": {name: round(median, 1) for name, median in medians.items()},
        "fps_of_rounds": {name: [round(one, 1) for one in got] for name, got in fps.items()},
        "best_in_process": best,
        "ratio": share[SERVER],
        **{f"ratio_{name}": share[name] for name in (LEAN, SESSION, BARE)},
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


def _cpu_s(pids: set[int]) -> float:
    return sum(cpu_s(pid) for pid in pids)


def _put(process: "subprocess.Popen[str]", text: str) -> None:
    if process.stdin is not None:
        process.stdin.write(text)
        process.stdin.flush()


def _line(process: "subprocess.Popen[str]") -> str:
    return process.stdout.readline() if process.stdout is not None else ""
