"""What an engine's calls cost by batch size and precision, beside the least that they could cost.

    python benchmarks/engine.py
    python benchmarks/engine.py --engine torch --precisions f16,bf16 --max-batch 64
    python benchmarks/engine.py --against reference-002

Nothing but `infer`: from frames in memory to depth in memory, copies to a device and back included,
so every call ends when its answer is there. Latency is of one lane while the others rest; the rate
is of all lanes together. The roofline (benchmarks/roofline.py) is what the same machine could do by
its best product of matrices and its best copy. The torch engine has a figure of the program as it
was exported too, run eagerly and in turns with the engine.

--against  instead: our decoder beside a reference's, see benchmarks/decoders.py
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from benchmarks import decoders
from benchmarks.results import FOLDER, Summary, write_result
from benchmarks.roofline import Ceilings, layers_of, measure_ceilings
from export.turns import in_turns
from fathom.card import Card
from fathom.errors import FathomError
from fathom.geometry import RGB
from server.engines.batches import graph_sizes
from server.engines.engine import Engine
from server.engines.files import choose_file
from server.models import open_models
from server.settings import load
from server.telemetry import Telemetry

_WARM_UP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model, precision and batch size.

    latency           of one call, the other lanes at rest
    frames_per_s      of all lanes together
    roofline_ms       the least that the machine takes for such a batch
    share_of_roofline frames_per_s of what the roofline allows
    eager_ms          median of the program run eagerly, of the torch engine
    """

    model: str
    engine: str
    device: str
    precision: str
    lanes: int
    batch: int
    latency: Summary
    frames_per_s: float
    roofline_ms: float
    share_of_roofline: float
    eager_ms: float | None


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, write JSON; 2 for a bad setting."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    load_before = os.getloadavg()
    print(f"load average {load_before[0]:.2f}")
    if arguments.against:
        name = f"engine_against_{arguments.against.replace('-', '_')}"
        figures = decoders.measure(arguments.against, arguments.rounds, arguments.calls)
    else:
        name = "engine"
        try:
            figures = _by_batch(arguments, server_arguments)
        except FathomError as error:
            print(error, file=sys.stderr)
            return 2
    path = arguments.json or FOLDER / f"{name}.json"
    write_result(path, figures, load_before)
    print(f"written to {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python benchmarks/engine.py",
        description=__doc__,
        epilog="other options go to the server, for example --engine onnxruntime --max-batch 8",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--precisions", default="auto", help="separated by commas (%(default)s)")
    parser.add_argument("--calls", type=int, default=50, help="calls a turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (%(default)s)")
    parser.add_argument("--json", type=Path, help=f"where results go, else in {FOLDER.name}/")
    parser.add_argument("--against", choices=decoders.REFERENCES, help="see above")
    return parser


def _by_batch(arguments: argparse.Namespace, server_arguments: Sequence[str]) -> dict[str, object]:
    rows: list[Row] = []
    ceilings: dict[str, Ceilings] = {}
    print(
        f"{'model':<24}{'precision':>10}{'batch':>6}{'p50 ms':>9}{'p99 ms':>9}{'eager ms':>10}"
        f"{'frames/s':>10}{'roofline ms':>13}{'of roofline':>12}"
    )
    for precision in arguments.precisions.split(","):
        settings, _ = load([*server_arguments, "--precision", precision])
        for model in open_models(settings, Telemetry()):
            kind = model.engine.spec.precision
            if kind not in ceilings:
                ceilings[kind] = measure_ceilings(kind)
            folder = settings.model_repository / model.card.name
            for row in measure(model.card, folder, model.engine, ceilings[kind], arguments):
                rows.append(row)
                _print(row)
            model.engine.close()
    return {
        "server_arguments": list(server_arguments),
        "ceilings": {name: asdict(each) for name, each in ceilings.items()},
        "rows": [asdict(row) for row in rows],
    }


def measure(
    card: Card, folder: Path, engine: Engine, ceilings: Ceilings, arguments: argparse.Namespace
) -> Iterator[Row]:
    """A row for each batch size that the engine is made for."""
    spec = engine.spec
    graph = folder / choose_file(card, ("onnx",)).path
    eager = _eager(card, folder, spec.device) if spec.name == "torch" else None
    for batch in graph_sizes(spec.max_batch):
        frames = np.random.default_rng(0).integers(0, 256, (batch, *spec.input_size, 3), np.uint8)
        calls: dict[str, Callable[[], object]] = {"engine": partial(engine.infer, frames, 0)}
        if eager:
            calls["eager"] = partial(eager, frames)
        in_turns(calls, rounds=1, calls=_WARM_UP)
        taken = in_turns(calls, rounds=arguments.rounds, calls=arguments.calls)
        seconds = {name: list(itertools.chain(*turns)) for name, turns in taken.items()}
        rate = batch * _calls_per_s(engine, frames, arguments.rounds * arguments.calls)
        least_s = ceilings.seconds(layers_of(graph, batch, spec.precision))
        yield Row(
            model=card.name,
            engine=spec.name,
            device=spec.device,
            precision=spec.precision,
            lanes=spec.lanes,
            batch=batch,
            latency=Summary.of(seconds["engine"]),
            frames_per_s=round(rate, 1),
            roofline_ms=round(1e3 * least_s, 4),
            share_of_roofline=round(rate * least_s / batch, 3),
            eager_ms=Summary.of(seconds["eager"]).p50_ms if eager else None,
        )


def _eager(card: Card, folder: Path, device: str) -> Callable[[RGB], object]:
    """The program as it was exported: no compiler, no graph, no pinned memory."""
    import torch

    where = "cpu" if device == "cpu" else "cuda"
    path = folder / choose_file(card, ("torch",)).path
    module = torch.export.load(path).module().to(where)

    def run(frames: RGB) -> object:
        with torch.inference_mode():
            return [answer.cpu() for answer in module(torch.from_numpy(frames).to(where))]

    return run


def _calls_per_s(engine: Engine, frames: RGB, count: int) -> float:
    """Of all lanes together, `count` calls each."""

    def run(lane: int, calls: int) -> None:
        for _ in range(calls):
            engine.infer(frames, lane)

    lanes = range(engine.spec.lanes)
    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(run, lanes, itertools.repeat(_WARM_UP)))
        before_s = time.perf_counter()
        list(pool.map(run, lanes, itertools.repeat(count)))
        return len(lanes) * count / (time.perf_counter() - before_s)


def _print(row: Row) -> None:
    eager = f"{row.eager_ms:.2f}" if row.eager_ms else "-"
    print(
        f"{row.model:<24}{row.precision:>10}{row.batch:>6}{row.latency.p50_ms:>9.2f}"
        f"{row.latency.p99_ms:>9.2f}{eager:>10}{row.frames_per_s:>10.1f}{row.roofline_ms:>13.3f}"
        f"{row.share_of_roofline:>12.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
