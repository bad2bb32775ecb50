"""Bytes that nobody meant to send, at each door for as long as one wants, and what it leaves.

    python -m benchmarks.fuzz --door all --seconds 600

Each door has a fresh server, and visitors that send whole requests with some of their bytes or
values made something else: pictures, messages, tensors, options, and now and then the protocol
itself. After one rehearsal, no answer may be a bug of the server (500, INTERNAL, UNKNOWN, close
1011), none may hang, its log holds no error, and at the end, with everybody gone, memory is at most
20 MiB above what it was, and threads and descriptors are back. The same seed sends the same.

Other options go to the server, for example --engine openvino for a real engine.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import uvloop
from tqdm import tqdm

from benchmarks.calm import calm
from benchmarks.fuzz.over_grpc import grpc_door, v2_grpc_door
from benchmarks.fuzz.over_http import converse, http_door, v2_http_door
from benchmarks.fuzz.over_websocket import websocket_door
from benchmarks.fuzz.report import Fuzzed, Look, broken_promises, figures
from benchmarks.fuzz.target import PATIENCE_S, Door, Fault, Target
from benchmarks.pictures import camera_jpeg
from benchmarks.results import FOLDER, write_result
from benchmarks.serving import Serving, serving
from fathom.errors import FathomError
from fathom.session.sync import Client

DOORS: Mapping[str, Door] = {
    "http": http_door,
    "grpc": grpc_door,
    "websocket": websocket_door,
    "v2-http": v2_http_door,
    "v2-grpc": v2_grpc_door,
}
# What waits for bytes that never come lets go soon, so that the end need not be waited for.
SERVER = ("--engine=null", "--slow-sender-s=2", "--slow-reader-s=2")
# At once: a server under two conversations does not interleave, one under a hundred is overloaded.
_VISITORS = 4
# Visits of each visitor before anything is compared: what is allocated once is there by then.
_REHEARSAL = 200
_CROWD = 12
_FAULTS_KEPT = 20
_SHOWN_BYTES = 100
_LOOK_EVERY_S = 1.0


def main(argv: list[str] | None = None) -> int:
    """Fuzz the doors in turn; print what is not as promised, write JSON. 1 if anything is not."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    load_before = os.getloadavg()
    found: dict[str, Fuzzed] = {}
    for name in DOORS if arguments.door == "all" else [arguments.door]:
        with serving([*SERVER, *server_arguments]) as server:
            try:
                found[name] = _fuzz(server, name, arguments)
            except OSError as error:
                raise SystemExit(f"{name}: the server is gone: {error}") from error
        # After each door: whoever breaks off has what was found so far.
        said = {"seed": arguments.seed} | {door: figures(one) for door, one in found.items()}
        write_result(arguments.json, said, load_before)
    broken = [(name, told) for name, one in found.items() for told in broken_promises(one)]
    for name, one in found.items():
        print(f"{name:10} {one.visits} visits: {dict(sorted(one.counts.items()))}")
    for name, told in broken:
        print(f"broken: {name}: {told}")
    print(f"{'not ' if broken else ''}as promised; written to {arguments.json}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--door", choices=[*DOORS, "all"], default="all", help="(%(default)s)")
    add("--seconds", type=float, default=60, help="of each door (%(default)s)")
    add("--seed", type=int, default=0, help="of what is sent (%(default)s)")
    add("--json", type=Path, default=FOLDER / "fuzz.json", help="where results go")
    return parser


def _fuzz(server: Serving, name: str, arguments: argparse.Namespace) -> Fuzzed:
    with Client(server.grpc) as client:
        [model, *_] = client.describe().models
    target = Target(
        http=server.http, grpc=server.grpc, model=model.name, input_size=model.input_size
    )
    rehearsal, run = (Fuzzing(server, name, target, [arguments.seed, part]) for part in range(2))
    uvloop.run(_crowd(target))
    uvloop.run(rehearsal.run(visits=_REHEARSAL))
    before = calm(server)
    uvloop.run(run.run(seconds=arguments.seconds))
    faults = rehearsal.faults + run.faults
    return Fuzzed(
        seconds=arguments.seconds,
        visits=run.visits,
        counts=run.counts,
        faults=faults[:_FAULTS_KEPT],
        faults_in_all=rehearsal.faults_in_all + run.faults_in_all,
        before=before,
        after=calm(server, before),
        looks=run.looks,
        errors=list(server.errors),
        alive=_answers(target),
    )


async def _crowd(target: Target) -> None:
    """Good requests all at once, so that the server has every thread that it will ever have."""
    picture = camera_jpeg()
    asked = {b"POST /predict?format=ply&size=network": picture, b"GET /page/main.js": b""}
    rest = b"%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    answers = Counter(
        await asyncio.gather(
            *(
                converse(target.http, rest % (line, len(body), body), PATIENCE_S)
                for line, body in asked.items()
                for _ in range(_CROWD)
            )
        )
    )
    if set(answers) != {"200"}:
        raise SystemExit(f"good requests were answered {dict(answers)}")


class Fuzzing:
    """Visitors at one door, and what they met.

    seed  of this part; each visitor's own is made of it
    """

    def __init__(self, server: Serving, name: str, target: Target, seed: list[int]) -> None:
        self._server = server
        self._name = name
        self._target = target
        self._seed = [*seed, list(DOORS).index(name)]
        self.visits = 0
        self.counts: Counter[str] = Counter()
        self.faults: list[tuple[str, bytes]] = []
        self.faults_in_all = 0
        self.looks: list[Look] = []

    async def run(self, *, seconds: float = 1e9, visits: int = 10**12) -> None:
        """All visitors for so long, or so many visits each."""
        telling = asyncio.create_task(self._tell(seconds))
        end_s = time.monotonic() + seconds
        await asyncio.gather(*(self._come(n, end_s, visits) for n in range(_VISITORS)))
        telling.cancel()

    async def _come(self, number: int, end_s: float, visits: int) -> None:
        rng = np.random.default_rng([*self._seed, number])
        async with DOORS[self._name](self._target) as visitor:
            for _ in range(visits):
                if time.monotonic() >= end_s:
                    return
                try:
                    await visitor.visit(rng, self.counts)
                except Fault as fault:
                    self._note(str(fault), fault.sent)
                except OSError as error:  # nobody listens, or nobody shakes hands
                    self._note(f"{type(error).__name__}: {error}", b"")
                    await asyncio.sleep(_LOOK_EVERY_S)
                self.visits += 1

    def _note(self, what: str, sent: bytes) -> None:
        self.faults_in_all += 1
        if len(self.faults) < _FAULTS_KEPT:
            self.faults.append((what, sent))
            tqdm.write(f"{self._name}: {what} by {sent[:_SHOWN_BYTES].hex()}", file=sys.stderr)

    async def _tell(self, seconds: float) -> None:
        start_s = time.monotonic()
        with tqdm(total=round(seconds), unit="s", desc=self._name, disable=seconds >= 1e9) as bar:
            while True:
                server = self._server
                elapsed_s = time.monotonic() - start_s
                look = (elapsed_s, server.resident_mib, server.threads, server.descriptors)
                self.looks.append(look)
                bar.set_postfix_str(
                    f"{self.visits} visits, {self.faults_in_all} faults, {look[1]:.0f} MiB,"
                    f" {look[2]} threads, {look[3]} descriptors"
                )
                bar.update(min(round(seconds), round(elapsed_s)) - bar.n)
                await asyncio.sleep(_LOOK_EVERY_S)


def _answers(target: Target) -> bool:
    try:
        with Client(target.grpc) as client:
            client.predict(camera_jpeg())
    except FathomError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
