"""Many cameras against a server that cannot do them all: who is served, how old, for how long.

    python benchmarks/overload.py --cameras 16 --load 0.5,1,2,4 --seconds 60
    python benchmarks/overload.py --cameras 16 --fps 30 --load 2 --seconds 600 --engine null

Capacity is measured first, in a closed loop over the same cameras, with the same server. Then each
camera sends at its own times whatever the server does, and a frame's age counts from its time.

--load alone        each camera sends load * capacity / cameras frames/s
--fps alone         each camera sends so many; the load is what comes out
--fps and --load    with --engine null, whose cost is then set to give that load, for example
                    2 / (16 * 30) s = 4.17 ms a frame; otherwise --fps counts, --load does not

Each load has a fresh server, so that its memory is its own. Cameras run in one process on the same
cores as the server, as the figures say.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.generator import picture_size
from benchmarks.overload_report import Measured, chart, figures, table
from benchmarks.pictures import camera_jpeg
from benchmarks.plot import grid, highest, write_png
from benchmarks.results import FOLDER, write_result
from benchmarks.serving import Serving, serving
from benchmarks.tallies import Run, read_run
from benchmarks.watch import MemoryWatch, read_frames

# With so many under way of each camera a lane never waits, with one camera or many.
_IN_FLIGHT = 4
# Of the capacity run: caches and the scheduler's idea of the cost settle.
_SETTLING = 0.2
# A generator that has not ended so long after its cameras is stuck.
_PATIENCE_S = 60.0


def main(argv: list[str] | None = None) -> int:
    """Run all loads; print tables, write JSON and a picture. Returns 1 if sums do not agree."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    load_before = os.getloadavg()
    measured, told = [], []
    for load, more in plans(arguments, server_arguments):
        told.append([*server_arguments, *more])
        measured.append(_measure(arguments, told[-1], load))
        print(table(measured[-1]), flush=True)
    top_ms = highest(line.y for one in measured for line in chart(one).lines)
    write_png(arguments.picture, grid([chart(one, top_ms) for one in measured]))
    runs = [
        {"server_arguments": to_server} | figures(one)
        for to_server, one in zip(told, measured, strict=True)
    ]
    write_result(arguments.json, {"runs": runs}, load_before)
    print(f"\nwritten to {arguments.json} and {arguments.picture}")
    return 0 if all(one.sums_agree for one in measured) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python benchmarks/overload.py",
        description=__doc__,
        epilog="other options go to the server, for example --engine null --lanes 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--cameras", type=int, default=16, help="(%(default)s)")
    add("--load", default="0.5,1,2,4", help="times capacity, by commas (%(default)s)")
    add("--fps", type=float, help="frames a second of each camera, instead of by load")
    add("--seconds", type=float, default=60, help="of each load (%(default)s)")
    add("--capacity-seconds", type=float, default=5, help="of each capacity run (%(default)s)")
    add("--picture-size", default="640x480", help="WIDTHxHEIGHT of the cameras (%(default)s)")
    add("--json", type=Path, default=FOLDER / "overload.json", help="where results go")
    add("--picture", type=Path, default=FOLDER / "overload.png", help="where the picture goes")
    return parser


def plans(
    arguments: argparse.Namespace, server_arguments: Sequence[str]
) -> list[tuple[float, list[str]]]:
    """Each load with what the server needs to be told for it, see the top of this file."""
    loads = [float(load) for load in arguments.load.split(",")]
    if arguments.fps is None:
        return [(load, []) for load in loads]
    given = " ".join(server_arguments).replace("=", " ")
    if "--engine null" not in given or "--null-cost-ms" in given:
        return [(loads[0], [])]
    frame_ms = 1e3 / (arguments.cameras * arguments.fps)
    return [(load, [f"--null-cost-ms={load * frame_ms:.4f}"]) for load in loads]


def _measure(
    arguments: argparse.Namespace, server_arguments: Sequence[str], load: float
) -> Measured:
    cameras = arguments.cameras
    jpeg = camera_jpeg(picture_size(arguments.picture_size))
    with serving(server_arguments) as server:
        seconds = arguments.capacity_seconds
        closed = _generate(server, arguments, seconds, f"--in-flight={_IN_FLIGHT}")
        settled_s = _SETTLING * seconds
        capacity_fps = closed.answered_after(settled_s) / (seconds - settled_s)
        fps = arguments.fps or load * capacity_fps / cameras
        frames_before, cpu_before_s, load_before = read_frames(server), server.cpu_s, _load()
        with MemoryWatch(server) as memory:
            run = _generate(server, arguments, arguments.seconds, f"--fps={fps}")
        return Measured(
            capacity_fps=capacity_fps,
            fps=fps,
            picture=f"{arguments.picture_size} JPEG of {len(jpeg) / 1e3:.0f} KB",
            run=run,
            metrics=Counter(read_frames(server)) - Counter(frames_before),
            memory=memory.samples,
            server_cpu_s=server.cpu_s - cpu_before_s,
            load_averages=(load_before, _load()),
        )


def _generate(server: Serving, arguments: argparse.Namespace, seconds: float, pace: str) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.npz"
        command = [
            *(sys.executable, "-m", "benchmarks.generator", server.grpc, str(out)),
            *(f"--cameras={arguments.cameras}", f"--seconds={seconds}", pace),
            f"--picture-size={arguments.picture_size}",
        ]
        root = Path(__file__).parent.parent
        subprocess.run(command, cwd=root, check=True, timeout=seconds + _PATIENCE_S)
        return read_run(out)


def _load() -> float:
    return os.getloadavg()[0]


if __name__ == "__main__":
    sys.exit(main())
