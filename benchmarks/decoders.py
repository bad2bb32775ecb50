"""What one call of the engine costs: our decoder beside a reference's, behind the same encoders.

Random weights, as values do not change the work. All see the same field of view at the same
resolution of the network: the reference decoder halves its picture first and so gets one of twice
the size, as it was published. One frame at a time on all cores, in turns.
"""

import itertools
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from export.onnx import export_onnx
from export.program import export_program, output_names
from export.turns import in_turns
from server.engines.engine import Engine
from server.engines.openvino import OpenVinoEngine
from training.students.spec import DecoderName, EncoderName, StudentSpec
from training.students.student import Student

OURS: DecoderName = "slim"
ENCODERS: tuple[EncoderName, ...] = ("mobilenet-v2", "resnet18")
REFERENCES = tuple(name for name in get_args(DecoderName) if name != OURS)
_WARM_UP = 10


def measure(reference: DecoderName, rounds: int, calls: int) -> dict[str, object]:
    """Print a table of both decoders behind both encoders, and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        engines, described = _open(Path(folder), (OURS, reference))
        named = {name: _call_of(engine) for name, engine in engines.items()}
        taken = in_turns(named, rounds=rounds, calls=_WARM_UP + calls)
        seconds = {
            name: [statistics.median(turn[_WARM_UP:]) for turn in turns]
            for name, turns in taken.items()
        }
        precision = next(iter(engines.values())).spec.precision
        for engine in engines.values():
            engine.close()
    found = compared(seconds, OURS, reference)
    _print(found)
    return {"engine": "openvino", "precision": precision, "students": described} | asdict(found)


def name_of(encoder: str, decoder: str) -> str:
    return f"{encoder} {decoder}"


def _open(
    folder: Path, decoders: tuple[DecoderName, ...]
) -> tuple[dict[str, Engine], dict[str, object]]:
    """An engine and a description of each student, by name."""
    engines: dict[str, Engine] = {}
    described: dict[str, object] = {}
    for encoder in ENCODERS:
        for decoder in decoders:
            name = name_of(encoder, decoder)
            spec = StudentSpec(encoder=encoder, decoder=decoder)
            torch.manual_seed(0)
            student = Student(spec.enlarged(2) if decoder == "reference-002" else spec).eval()
            path = folder / f"{encoder}-{decoder}.onnx"
            outputs = output_names(student)
            export_onnx(export_program(student), path, outputs, {})
            engines[name] = OpenVinoEngine(path, input_size=student.network_size, outputs=outputs)
            described[name] = {
                "parameters": sum(p.numel() for p in student.parameters()),
                "input_size": list(student.network_size),
            }
    return engines, described


def _call_of(engine: Engine) -> Callable[[], object]:
    frames = np.random.default_rng(0).integers(0, 256, (1, *engine.spec.input_size, 3), np.uint8)
    return lambda: engine.infer(frames, 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians over rounds, and how many times as fast each of ours is as each reference of its
    round."""

    ms: dict[str, float]
    fps: dict[str, float]
    ms_of_rounds: dict[str, list[float]]
    times_as_fast: dict[str, float]
    times_as_fast_of_rounds: dict[str, list[float]]


def compared(seconds: Mapping[str, list[float]], ours: str, reference: str) -> Comparison:
    """From the seconds of each round, by `name_of` encoder and decoder."""
    medians = {name: statistics.median(of_rounds) for name, of_rounds in seconds.items()}
    ratios: dict[str, list[float]] = {}
    for one, other in itertools.product(ENCODERS, repeat=2):
        fast, slow = name_of(one, ours), name_of(other, reference)
        pairs = zip(seconds[slow], seconds[fast], strict=True)
        ratios[f"{fast} over {slow}"] = [theirs / mine for theirs, mine in pairs]
    return Comparison(
        ms={name: round(1e3 * median, 3) for name, median in medians.items()},
        fps={name: round(1 / median, 1) for name, median in medians.items()},
        ms_of_rounds={
            name: [round(1e3 * one, 3) for one in of_rounds] for name, of_rounds in seconds.items()
        },
        times_as_fast={name: round(statistics.median(each), 2) for name, each in ratios.items()},
        times_as_fast_of_rounds={
            name: [round(one, 2) for one in each] for name, each in ratios.items()
        },
    )


def _print(found: Comparison) -> None:
    print(f"{'student':<32}{'ms':>9}{'fps':>9}")
    for name, ms in found.ms.items():
        print(f"{name:<32}{ms:>9.2f}{found.fps[name]:>9.1f}")
    for pair, ratio in found.times_as_fast.items():
        print(f"{ratio:6.2f} times as fast: {pair}")
