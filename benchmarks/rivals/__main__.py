"""Fathom beside FastAPI, LitServe and Triton: the same student, the same cameras, the same cores.

    python -m benchmarks.rivals --model-repository model_repository --seconds 20
    python -m benchmarks.rivals --only fathom,fastapi --scenes 1x250 --rounds 1 --seconds 5

Every server gets the same JPEG, decodes it with `fathom.codecs.image.decode_into`, runs the same
file in the same engine class (precision, two threads, one infer request), and answers the same
millimetres; the hashes of the answers are compared and the table says if they differ. What differs
is what is being measured: how frames wait, and what happens when there are too many.

Clients of a rival are tried in two styles: "every frame" sends each frame when it is due, with as
many connections as that takes; "one in flight" waits for each answer and then sends the newest
frame. Fathom's cameras send every frame into a stream with the policy `latest`. A frame's age
counts from when it was due, in all styles. Each run has a fresh server, since queues that are not
bounded would carry one run's frames into the next.

Fair to the rivals: their clients speak plain HTTP/1.1, which costs the shared cores far less than
the gRPC client of Fathom's cameras, and in "one in flight" send no frame in vain. LitServe gets
raw bytes where its users send JSON or forms. Frames that were still unanswered when a run ended
count in no age, so ages in an overload are better than the truth.

Not fair to them: they run as they come, with queues that are first in, first out and have no bound.
Triton can refuse what exceeds a queue and LitServe what is older than a time; both then serve the
frames that waited longest, and none can replace a waiting frame by a newer one. OpenVINO's own
backend of Triton is not on PyPI, so its Python backend runs the model, at the cost of one copy
between processes.

Memory is the proportional set size of all the server's processes when its run is over: pages that
several processes share, the load generator among them, are divided among them.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.results import FOLDER, write_result
from benchmarks.rivals.contenders import FATHOM, NAMES, Ready, Starter, model_folder, styles_of
from benchmarks.rivals.processes import CannotServe, memory_mib
from benchmarks.rivals.styles import Style
from benchmarks.rivals.table import Cell, Figures, Row, Scene, row, text
from export.environments import CannotBuild

# The generator bounds its own waits, and together they are less than this.
_LOAD_EXTRA_S = 120.0


def main(argv: list[str] | None = None) -> int:
    """Run all cells in turns, print the table, write JSON; 1 if a server had no figures."""
    arguments, fathom_arguments = _parser().parse_known_args(argv)
    # A server left behind would be load on the next measurement: leave through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    load_before = os.getloadavg()
    starter = Starter(
        folder=model_folder(arguments.model_repository, arguments.model),
        precision=arguments.precision,
        threads=arguments.threads,
        fathom_arguments=fathom_arguments,
    )
    cells = [
        Cell(name, style, scene)
        for scene in arguments.scenes
        for name in arguments.only
        for style in styles_of(name)
    ]
    bench = _Bench(starter, arguments.seconds)
    for name in arguments.only:
        bench.prepare(name)
    for turn in range(arguments.rounds):
        for cell in cells:
            bench.measure(cell, f"round {turn + 1} of {arguments.rounds}")
    rows = [bench.row(cell) for cell in cells]
    print(text(rows))
    print(bench.verdict_on_answers())
    figures = {
        "model": starter.folder.name,
        "precision": starter.precision,
        "threads": starter.threads,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "answers": bench.verdict_on_answers(),
        "rows": [asdict(r) | {"rounds": bench.rounds[r.cell]} for r in rows],
    }
    write_result(arguments.json, figures, load_before)
    print(f"written to {arguments.json}")
    return 1 if any(r.note for r in rows) else 0


class _Bench:
    """Measures cells and keeps what came of them."""

    def __init__(self, starter: Starter, seconds: float) -> None:
        self._starter = starter
        self._seconds = seconds
        self._unfit: dict[str, str] = {}
        self._answers: dict[str, set[str]] = defaultdict(set)
        self.rounds: dict[Cell, list[Figures]] = defaultdict(list)

    def prepare(self, name: str) -> None:
        try:
            self._starter.prepare(name)
        except CannotBuild as error:
            self._unfit[name] = f"cannot be built: {error}"

    def measure(self, cell: Cell, turn: str) -> None:
        """One run of one cell, with a fresh server."""
        if cell.server in self._unfit:
            return
        print(f"{turn}: {cell.server}, {cell.style}, {cell.scene}", file=sys.stderr)
        try:
            with self._starter.start(cell.server) as server:
                figures, answer = _load(server, cell, self._seconds)
        except CannotServe as error:
            self._unfit[cell.server] = f"does not serve: {error}"
            return
        self._answers[answer].add(cell.server)
        self.rounds[cell].append(figures)

    def row(self, cell: Cell) -> Row:
        if cell.server in self._unfit:
            return Row(cell, {}, note=self._unfit[cell.server])
        if cell.server == FATHOM:
            return row(cell, self.rounds[cell], ())
        fathom = self.rounds[Cell(FATHOM, Style.STREAM, cell.scene)]
        return row(cell, self.rounds[cell], fathom)

    def verdict_on_answers(self) -> str:
        """Whether all servers gave the same bytes for the same picture."""
        if len(self._answers) == 1:
            return "all answers are the same to the byte"
        groups = (", ".join(sorted(names)) for names in self._answers.values())
        return f"ANSWERS DIFFER: {' | '.join(groups)}"


def _load(server: Ready, cell: Cell, seconds: float) -> tuple[Figures, str]:
    """Run the load generator on a server; its figures and the hash of an answer."""
    command = [sys.executable, "-m", "benchmarks.rivals.load", server.protocol, server.target]
    command += ["--style", cell.style, "--seconds", str(seconds)]
    command += ["--cameras", str(cell.scene.cameras), "--fps", str(cell.scene.fps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - by the argument above
        patience = threading.Timer(seconds + _LOAD_EXTRA_S, process.kill)
        patience.start()
        lines = []
        memory = 0.0
        for line in process.stdout:
            lines.append(line)
            if line == "over\n":
                memory = memory_mib(server.pid)
        patience.cancel()
        if process.wait() != 0:
            raise CannotServe(f"the load generator ended with {process.returncode}, see above")
    figures = json.loads(lines[-1])
    if not figures["answered"]:
        raise CannotServe("not one answer in a whole run")
    answer = figures.pop("answer_sha256")
    return figures | {"memory_mib": round(memory, 1)}, answer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.rivals",
        description=__doc__,
        epilog="other options go to Fathom's server, for example --lanes 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model-repository", type=Path, default=Path("model_repository"), help="%(default)s")
    add("--model", default="", help="which of its models; the first unless given")
    add("--precision", default="auto", help="of every server's engine (%(default)s)")
    add("--threads", type=int, default=2, help="of every server's engine (%(default)s)")
    add("--only", type=_servers, default=NAMES, help=f"some of {','.join(NAMES)}")
    add("--scenes", type=_scenes, default="1x60,16x15", help="cameras x fps (%(default)s)")
    add("--seconds", type=float, default=20, help="of each run (%(default)s)")
    add("--rounds", type=int, default=5, help="of all runs, in turns (%(default)s)")
    add("--json", type=Path, default=FOLDER / "rivals.json", help="where results go")
    return parser


def _servers(names: str) -> Sequence[str]:
    wanted = names.split(",")
    if unknown := set(wanted) - set(NAMES):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {NAMES}")
    return [name for name in NAMES if name in wanted]


def _scenes(scenes: str) -> Sequence[Scene]:
    return [Scene.parse(scene) for scene in scenes.split(",")]


if __name__ == "__main__":
    sys.exit(main())
