"""What a camera notices of a reader that freezes and of a client that floods: its age, in turns.

    python -m benchmarks.neighbours --seconds 20 --rounds 8

One server with an engine of a fixed cost, and a camera of a modest rate. Each round has the camera
alone, beside a busy client that behaves, beside one that sends and never reads, and beside one that
sends as fast as it can, in an order that turns from round to round. Ages of all rounds together
give each phase's p99.

An engine that computes is not interrupted: beside whoever keeps it busy, a frame waits for the rest
of one batch, and that is fair. So the flood is held against the busy client, which always has a
frame waiting too, and the frozen reader, for whom nothing is computed, against the camera alone.

Neighbours yield the processor to everybody else, as if they were on another machine: without that
the figure would be of cores that are short. What is left of that shows in the camera's own
lateness, which is reported beside its age.

Other options go to the server, for example --null-cost-ms 20 or --max-frames-per-s-per-client 60.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import numpy as np
import uvloop
from grpc import aio

from benchmarks.generator import camera_stream
from benchmarks.pictures import camera_jpeg
from benchmarks.results import FOLDER, Summary, write_result
from benchmarks.serving import serving
from benchmarks.tallies import Camera, read_run
from fathom.errors import FathomError
from fathom.session.channel import CHANNEL_OPTIONS
from fathom.session.pictures import as_image
from fathom.values import Frame, Image, OpenStream, Policy
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, open_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub

ALONE, BUSY, FROZEN, FLOODED = "alone", "busy client", "frozen reader", "flooding client"
PHASES = (ALONE, BUSY, FROZEN, FLOODED)
# Against whom each bad neighbour is held.
_FAIR = {FROZEN: ALONE, FLOODED: BUSY}
SERVER = ("--engine=null", "--null-cost-ms=10")
_MOST_RATIO = 1.1
# For a neighbour to fill what it can fill before the camera begins.
_SETTLING_S = 1.5
_PATIENCE_S = 60.0
_YIELDS = 15  # niceness
_BUSY_FRAMES = 4
_ROOT = Path(__file__).parent.parent

# The camera in each round of each phase.
Found: TypeAlias = Mapping[str, Sequence[Camera]]


def main(argv: list[str] | None = None) -> int:
    """Run all rounds, print the phases, write JSON; 1 if a neighbour costs more than it may."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    if arguments.be:
        os.nice(_YIELDS)
        uvloop.run(_NEIGHBOURS[arguments.be](arguments.target))
        return 0
    load_before = os.getloadavg()
    found: dict[str, list[Camera]] = {phase: [] for phase in PHASES}
    with serving([*SERVER, *server_arguments]) as server:
        _camera(server.grpc, arguments, seconds=2.0)  # caches, and the scheduler's idea of the cost
        for number in range(arguments.rounds):
            for phase in in_turn(number):
                with _beside(server.grpc, phase):
                    found[phase].append(_camera(server.grpc, arguments, arguments.seconds))
                ages_ms = Summary.of(found[phase][-1].ages_s.tolist())
                print(f"round {number + 1} {phase}: age p99 {ages_ms.p99_ms} ms", flush=True)
    said = figures(found)
    write_result(
        arguments.json, {"fps": arguments.fps, "seconds": arguments.seconds} | said, load_before
    )
    print(*(f"{phase}: {one}" for phase, one in said.items()), sep="\n")
    print(f"written to {arguments.json}")
    return 0 if said["within_bound"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.neighbours",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--seconds", type=float, default=20, help="of each phase in a round (%(default)s)")
    add("--rounds", type=int, default=8, help="(%(default)s)")
    add("--fps", type=float, default=15, help="of the camera that is looked at (%(default)s)")
    add("--json", type=Path, default=FOLDER / "neighbours.json", help="where results go")
    add("--be", choices=PHASES[1:], default="", help=argparse.SUPPRESS)
    add("--target", default="", help=argparse.SUPPRESS)
    return parser


def in_turn(number: int) -> Sequence[str]:
    """The phases of a round; each is first, second and last as often as the others."""
    first = number % len(PHASES)
    return [*PHASES[first:], *PHASES[:first]]


def figures(found: Found) -> dict[str, object]:
    """Ages by phase over all rounds, and what each bad neighbour makes of the camera's p99."""
    pooled = {phase: np.concatenate([c.ages_s for c in found[phase]]) for phase in found}
    p99_ms = {
        phase: [float(np.percentile(camera.ages_s, 99)) * 1e3 for camera in found[phase]]
        for phase in found
    }
    ages = {phase: Summary.of(ages_s.tolist()) for phase, ages_s in pooled.items()}
    ratios = {
        f"{bad} over {fair}": ages[bad].p99_ms / ages[fair].p99_ms
        for bad in _FAIR
        for fair in (ALONE, BUSY)
    }
    return {
        "p99": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "within_bound": all(ratios[f"{a} over {b}"] <= _MOST_RATIO for a, b in _FAIR.items()),
        "phases": {
            phase: {
                "age": asdict(ages[phase]),
                "age_p99_ms_by_round": [round(ms, 2) for ms in p99_ms[phase]],
                "sent": sum(camera.sent for camera in found[phase]),
                "answered": sum(camera.answered for camera in found[phase]),
                "late": asdict(
                    Summary.of(np.concatenate([c.late_s for c in found[phase]]).tolist())
                ),
            }
            for phase in found
        },
    }


def _camera(target: str, arguments: argparse.Namespace, seconds: float) -> Camera:
    """What a camera in a process of its own got."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.npz"
        command = [
            *(sys.executable, "-m", "benchmarks.generator", target, str(out), "--cameras=1"),
            *(f"--fps={arguments.fps}", f"--seconds={seconds}"),
        ]
        subprocess.run(command, cwd=_ROOT, check=True, timeout=seconds + _PATIENCE_S)
        [camera] = read_run(out).cameras
        return camera


@contextmanager
def _beside(target: str, phase: str) -> Iterator[None]:
    """The phase's neighbour, if it has one, in a process of its own."""
    if phase == ALONE:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.neighbours", f"--be={phase}", f"--target={target}"]
    with subprocess.Popen(command, cwd=_ROOT) as neighbour:
        try:
            time.sleep(_SETTLING_S)
            if neighbour.poll() is not None:
                raise SystemExit(f"the {phase} left early")
            yield
        finally:
            neighbour.kill()


async def _be_busy(target: str) -> None:
    """Keep some frames under way, each of which is computed, and read every answer; without end."""
    picture = as_image(camera_jpeg())
    opening = OpenStream(policy=Policy.ALL, name="busy")
    async with camera_stream(target, opening) as stream:
        for _ in range(_BUSY_FRAMES):
            await stream.send(picture)
        async for _ in stream.answers():
            await stream.send(picture)


async def _flood(target: str) -> None:
    """Send as fast as the connection takes it, read every answer; without end."""
    picture = as_image(camera_jpeg())
    async with camera_stream(target, OpenStream(name="flood")) as stream:

        async def send() -> None:
            while True:
                await stream.send(picture)

        async def receive() -> None:
            async for _ in stream.answers():
                pass

        await asyncio.gather(send(), receive())


async def _freeze(target: str) -> None:
    """Send what the connection takes and read nothing; come back when cut off, without end."""
    picture = as_image(camera_jpeg())
    async with aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        while True:
            with suppress(aio.AioRpcError, asyncio.InvalidStateError, FathomError):
                await _stare(channel, picture)


async def _stare(channel: aio.Channel, picture: Image) -> None:
    call = DepthStub(channel).Stream()  # type: ignore[call-arg]  # written to, not iterated
    await call.write(pb.StreamRequest(open=open_to_wire(OpenStream(name="frozen"))))
    for seq in range(10**9):
        request = pb.StreamRequest()
        frame_to_wire(Frame(seq=seq, image=picture), request.frame)
        await call.write(request)
        await asyncio.sleep(1 / 30)


_NEIGHBOURS: Mapping[str, Callable[[str], Coroutine[None, None, None]]] = {
    BUSY: _be_busy,
    FROZEN: _freeze,
    FLOODED: _flood,
}

if __name__ == "__main__":
    sys.exit(main())
