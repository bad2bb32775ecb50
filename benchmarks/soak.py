"""An hour of everything that goes wrong: does the server hold out, and hold no more than before?

    python benchmarks/soak.py --seconds 3600

Steady cameras send all the time. Beside them others connect and drop every 2 s, read nothing,
send broken pictures, want answers too soon, are cut off in the middle of a word and killed. The
engine fails a batch now and then. At the end, with everybody gone, the books must agree, and
memory, threads and descriptors must be what they were after one rehearsal of it all.

Other options go to the server, for example --engine openvino for a real engine.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import uvloop
from tqdm import tqdm

from benchmarks.calm import calm
from benchmarks.pictures import camera_jpeg
from benchmarks.results import FOLDER, write_result
from benchmarks.serving import Serving, serving
from benchmarks.soak_report import Soaked, broken_promises, figures
from benchmarks.tallies import Run, read_run
from benchmarks.visitors import Astray, Visitors
from benchmarks.watch import MemoryWatch, frames_by_outcome, read_page, total
from fathom import metrics
from fathom.errors import FathomError

SERVER = (
    *("--engine=null", "--null-cost-ms=4", "--null-fault-every=500"),
    *("--window-mib=1", "--slow-reader-s=2"),
)
# How often each visitor comes; the last of them is a process, which costs most.
PERIODS_S = {
    "restless": 2.0,
    "impatient": 5.0,
    "malformed": 5.0,
    "frozen": 10.0,
    "severed": 1.0,
    "killed": 20.0,
}
_STEADY_CAMERAS, _STEADY_FPS = 3, 10.0
# A visit that takes so long hangs.
_VISIT_S = 60.0
# Cameras that have not ended so long after their time are stuck.
_PATIENCE_S = 60.0


def main(argv: list[str] | None = None) -> int:
    """Soak a server; print what is not as promised, write JSON. 1 if anything is not."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    load_before = os.getloadavg()
    with serving([*SERVER, *server_arguments]) as server:
        soaked = _soak(server, arguments.seconds)
    write_result(arguments.json, figures(soaked), load_before)
    broken = broken_promises(soaked)
    for promise in broken:
        print(f"broken: {promise}")
    print(f"{'not ' if broken else ''}as promised; written to {arguments.json}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python benchmarks/soak.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--seconds", type=float, default=60, help="(%(default)s)")
    parser.add_argument("--json", type=Path, default=FOLDER / "soak.json", help="where results go")
    return parser


def _soak(server: Serving, seconds: float) -> Soaked:
    visitors = Visitors(grpc=server.grpc, http=server.http, picture=camera_jpeg())
    visits: Counter[str] = Counter()
    astray: list[str] = []
    uvloop.run(_rehearse(visitors, astray))
    before = calm(server)
    with _steady_cameras(server, seconds) as steady, MemoryWatch(server) as memory:
        uvloop.run(_all_visits(server, visitors, seconds, visits, astray))
        run = steady()
    after = calm(server, before)
    page = read_page(server)
    return Soaked(
        seconds=seconds,
        visits=dict(visits),
        astray=astray,
        steady=run,
        received=int(total(page, metrics.FRAMES_RECEIVED)),
        frames=frames_by_outcome(page),
        before=before,
        after=after,
        memory=memory.samples,
        errors=list(server.errors),
    )


async def _rehearse(visitors: Visitors, astray: list[str]) -> None:
    """Each visit once, so that what is allocated once is there before anything is compared."""
    await asyncio.gather(*(_visit(visitors, kind, astray) for kind in PERIODS_S))


async def _all_visits(
    server: Serving, visitors: Visitors, seconds: float, visits: Counter[str], astray: list[str]
) -> None:
    start_s = time.monotonic()

    async def come_again(kind: str) -> None:
        """A visit a period, or the next at once after one that takes longer."""
        while time.monotonic() < start_s + seconds:
            before_s = time.monotonic()
            await _visit(visitors, kind, astray)
            visits[kind] += 1
            next_s = min(before_s + PERIODS_S[kind], start_s + seconds)
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))

    async def tell() -> None:
        with tqdm(total=round(seconds), unit="s", desc="soak") as bar:
            while True:
                await asyncio.sleep(1)
                bar.set_postfix_str(
                    f"{visits.total()} visits, {server.resident_mib:.0f} MiB,"
                    f" {server.threads} threads, {server.descriptors} descriptors"
                )
                bar.update(min(round(seconds), round(time.monotonic() - start_s)) - bar.n)

    telling = asyncio.create_task(tell())
    await asyncio.gather(*(come_again(kind) for kind in PERIODS_S))
    telling.cancel()


async def _visit(visitors: Visitors, kind: str, astray: list[str]) -> None:
    visit: Callable[[], Awaitable[None]] = getattr(visitors, kind)
    try:
        async with asyncio.timeout(_VISIT_S):
            await visit()
    except (Astray, FathomError, OSError) as error:  # a TimeoutError is an OSError
        astray.append(f"{kind}: {type(error).__name__} {error}")


@contextmanager
def _steady_cameras(server: Serving, seconds: float) -> Iterator[Callable[[], Run]]:
    """Cameras in a process of their own; the call that is yielded waits for what they got."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.npz"
        command = [
            *(sys.executable, "-m", "benchmarks.generator", server.grpc, str(out)),
            *(f"--cameras={_STEADY_CAMERAS}", f"--fps={_STEADY_FPS}", f"--seconds={seconds}"),
        ]
        with subprocess.Popen(command, cwd=Path(__file__).parent.parent) as process:

            def result() -> Run:
                if process.wait(seconds + _PATIENCE_S):
                    raise SystemExit("the steady cameras broke off")
                return read_run(out)

            try:
                yield result
            finally:
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
