"""Several workers against one: frames/s of the same cameras, and what they cost in processor time.

    python -m benchmarks.workers
    python -m benchmarks.workers --workers 1,2,4 --cameras 16 --engine openvino

Servers with 1, 2, ... workers live all the time and take turns (1 2 1 2 ...), so that none warms up
in its turn. Cameras keep frames under way in a closed loop, each on a connection of its own, new in
every turn. The kernel deals connections out by a hash, so that in some turns a worker gets none:
`split` is how many each has, and turns in which all are busy are told apart.

The cameras run on the same cores. So beside frames/s as they came there is what server and
generator took of the cores, and frames by second of the server's processor time: what workers gain
where cameras are elsewhere cannot be more than cores, and is less by what that falls.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import FOLDER, write_result
from benchmarks.serving import Serving, serving
from benchmarks.tallies import read_run
from fathom.machine import usable_cores

# Of a turn: connections open, lanes fill.
_SETTLING = 0.2
# A generator that has not ended so long after its cameras is stuck.
_PATIENCE_S = 60.0
_WARM_UP_S = 2.0
_ESTABLISHED = "01"  # in the kernel's table of connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One server's turn.

    fps              frames/s with depth, once settled
    frames           with depth, in all
    split            cameras by worker, most first
    server_cpu_s     of the supervisor and all workers
    generator_cpu_s  of the cameras
    """

    seconds: float
    fps: float
    frames: int
    split: tuple[int, ...]
    server_cpu_s: float
    generator_cpu_s: float

    @property
    def all_busy(self) -> bool:
        """Whether every worker had a camera, and so, with some frames of it under way, enough."""
        return self.split[-1] > 0


def main(argv: list[str] | None = None) -> int:
    """Take all turns, print a table, write JSON."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    if not any(argument.startswith("--engine") for argument in server_arguments):
        server_arguments.append("--engine=null")
    load_before = os.getloadavg()
    turns = _take_turns(arguments, server_arguments)
    figures = compared(turns)
    for name, value in figures.items():
        print(f"{name}: {value}")
    about = {
        "server_arguments": server_arguments,
        "cameras": arguments.cameras,
        "in_flight": arguments.in_flight,
        "seconds": arguments.seconds,
        "cores": usable_cores(),
    }
    write_result(arguments.json, about | figures, load_before)
    print(f"written to {arguments.json}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.workers",
        description=__doc__,
        epilog="other options go to the servers, for example --engine openvino; null without one",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--workers", default="1,2", help="counts by commas, the first is compared with (1,2)")
    add("--cameras", type=int, default=4, help="(%(default)s)")
    add("--in-flight", type=int, default=4, help="frames under way of each camera (%(default)s)")
    add("--seconds", type=float, default=5, help="of each turn (%(default)s)")
    add("--rounds", type=int, default=10, help="turns of each (%(default)s)")
    add("--json", type=Path, default=FOLDER / "workers.json", help="where results go")
    return parser


def _take_turns(
    arguments: argparse.Namespace, server_arguments: Sequence[str]
) -> dict[int, list[Turn]]:
    counts = [int(count) for count in arguments.workers.split(",")]
    turns: dict[int, list[Turn]] = {count: [] for count in counts}
    with ExitStack() as stack:
        servers = {
            count: stack.enter_context(serving([f"--workers={count}", *server_arguments]))
            for count in counts
        }
        for server in servers.values():
            _turn(server, arguments, _WARM_UP_S)
        for _ in range(arguments.rounds):
            for count, server in servers.items():
                turn = _turn(server, arguments, arguments.seconds)
                turns[count].append(turn)
                print(f"workers {count}  {turn.fps:7.1f} frames/s  split {turn.split}", flush=True)
    return turns


def _turn(server: Serving, arguments: argparse.Namespace, seconds: float) -> Turn:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.npz"
        command = [
            *(sys.executable, "-m", "benchmarks.generator", server.grpc, str(out)),
            *(f"--cameras={arguments.cameras}", f"--in-flight={arguments.in_flight}"),
            f"--seconds={seconds}",
        ]
        cpu_before_s = server.cpu_s
        with subprocess.Popen(command, cwd=Path(__file__).parent.parent) as cameras:
            # The most that were seen at once: they come one by one, and go in the same way.
            splits = [_split(server)]
            while cameras.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    cameras.wait(seconds / 4)
                splits.append(_split(server))
        if cameras.returncode:
            raise SystemExit("the cameras failed")
        run = read_run(out)
        settled_s = _SETTLING * seconds
        return Turn(
            seconds=seconds,
            fps=run.answered_after(settled_s) / (seconds - settled_s),
            frames=sum(camera.answered for camera in run.cameras),
            split=max(splits, key=sum),
            server_cpu_s=server.cpu_s - cpu_before_s,
            generator_cpu_s=run.cpu_s,
        )


def compared(turns: Mapping[int, Sequence[Turn]]) -> dict[str, object]:
    """Medians by number of workers, and how many times the first one's they are, turn by turn."""
    first, *others = turns
    return {
        "by_workers": {str(count): _medians(taken) for count, taken in turns.items()},
        "times_the_first": {str(other): _times(turns[other], turns[first]) for other in others},
    }


def _medians(turns: Sequence[Turn]) -> dict[str, object]:
    busy = [turn.fps for turn in turns if turn.all_busy]
    return {
        "fps": _median([turn.fps for turn in turns]),
        "fps_all_busy": _median(busy) if busy else None,
        "turns_all_busy": len(busy),
        "frames_by_server_cpu_s": _median([turn.frames / turn.server_cpu_s for turn in turns]),
        "server_cores": _median([turn.server_cpu_s / turn.seconds for turn in turns], 2),
        "generator_cores": _median([turn.generator_cpu_s / turn.seconds for turn in turns], 2),
        "fps_of_turns": [round(turn.fps, 1) for turn in turns],
        "split_of_turns": [turn.split for turn in turns],
    }


def _times(turns: Sequence[Turn], first: Sequence[Turn]) -> dict[str, object]:
    pairs = list(zip(turns, first, strict=True))
    busy = [mine.fps / other.fps for mine, other in pairs if mine.all_busy]
    cost = [
        mine.frames / mine.server_cpu_s / (other.frames / other.server_cpu_s)
        for mine, other in pairs
    ]
    return {
        "fps": _median([mine.fps / other.fps for mine, other in pairs], 3),
        "fps_all_busy": _median(busy, 3) if busy else None,
        "frames_by_server_cpu_s": _median(cost, 3),
    }


def _median(values: Sequence[float], digits: int = 1) -> float:
    return round(statistics.median(values), digits)


def _split(server: Serving) -> tuple[int, ...]:
    port = int(server.grpc.rpartition(":")[2])
    return tuple(sorted((connections(pid, port) for pid in server.workers), reverse=True))


def connections(pid: int, port: int) -> int:
    """How many connections to a port of this machine a process has open."""
    sockets = set()
    for family in ("tcp", "tcp6"):
        table = Path(f"/proc/{pid}/net/{family}").read_text(encoding="ascii")
        for line in table.splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{rest[5]}]")
    held = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            held += str(descriptor.readlink()) in sockets
    return held


if __name__ == "__main__":
    sys.exit(main())
