"""From a training checkpoint to a model that the server and Triton serve.

    python -m export runs/baseline/best.safetensors --name indoor-mnv2 --figures eval-test.json

Exports, compares with PyTorch on real pictures, and publishes only what passed.
"""

import argparse
import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

from export.gates import (
    Gate,
    median_latency_ms,
    openvino_predictor,
    read_frames,
    run_gates,
    table,
)
from export.onnx import OUTPUT, export_onnx
from export.repository import describe_file, next_version, publish, staged
from export.triton import make_config
from fathom.card import Card, Figure
from fathom.errors import Code, FathomError
from fathom.machine import describe_machine
from training.students.checkpoint import load_student, read_notes
from training.students.student import Student

_FIGURE_UNITS = {"delta1": "share", "abs_rel": "ratio", "rmse": "m", "log10": "log10 m"}


def main(argv: list[str] | None = None) -> int:
    """Run the export; 0 published, 1 refused, 2 misuse."""
    arguments = _parser().parse_args(argv)
    try:
        return _export(arguments)
    except FathomError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="best.safetensors of a training run")
    parser.add_argument("--name", required=True, help="the model's name in the repository")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--images", type=Path, default=Path("samples"), help="photos to compare on")
    parser.add_argument("--summary", default="metric depth of indoor scenes")
    parser.add_argument("--data", default="NYU Depth V2, 700 labelled images of 220 scenes")
    parser.add_argument("--data-licence", default="research use, as its authors ask")
    parser.add_argument(
        "--figures",
        type=Path,
        action="append",
        default=[],
        help="JSON of `python -m training eval`",
    )
    return parser


def _export(arguments: argparse.Namespace) -> int:
    started_s = time.monotonic()
    student = load_student(arguments.checkpoint)
    frames = read_frames(arguments.images, student.network_size)
    with staged(arguments.repository, arguments.name) as stage:
        version = next_version(arguments.repository, arguments.name)
        path = stage / "model.onnx"
        export_onnx(student, path, _metadata(arguments, student, version))
        print(f"exported after {time.monotonic() - started_s:.1f} s", file=sys.stderr)
        gates = run_gates(student, path, frames)
        print(table(gates))
        if not all(gate.passed for gate in gates):
            print("export: refused, nothing was published", file=sys.stderr)
            return 1
        cost_ms = median_latency_ms(openvino_predictor(path, "bf16"), frames)
        card = _card(arguments, student, version, path, _figures(arguments, gates, cost_ms))
        print(f"published {publish(arguments.repository, card, make_config(card), stage)}")
    return 0


def _metadata(arguments: argparse.Namespace, student: Student, version: int) -> dict[str, str]:
    return {
        "fathom.name": arguments.name,
        "fathom.version": str(version),
        "fathom.focal_px": str(student.spec.focal_px),
        "fathom.output": f"{OUTPUT}: metres along the optical axis",
    }


def _card(
    arguments: argparse.Namespace,
    student: Student,
    version: int,
    path: Path,
    figures: list[Figure],
) -> Card:
    spec = student.spec
    return Card(
        name=arguments.name,
        version=version,
        summary=arguments.summary,
        recipe=_recipe(arguments.checkpoint),
        data=arguments.data,
        data_licence=arguments.data_licence,
        parameters=sum(parameter.numel() for parameter in student.parameters()),
        input_size=student.network_size,
        outputs=(OUTPUT,),
        classes=(),
        focal_px=spec.focal_px,
        range_m=(spec.min_m, spec.max_m),
        figures=tuple(figures),
        files=(describe_file(path, version, target="onnx", precision="f32"),),
    )


def _figures(arguments: argparse.Namespace, gates: list[Gate], cost_ms: float) -> list[Figure]:
    protocol = f"{arguments.images.name} against PyTorch float32"
    figures = [_figure(gate.name, gate.value, "ratio", protocol) for gate in gates]
    figures.append(_figure("openvino bf16 cost", cost_ms, "ms", "median call, batch of one"))
    for report in arguments.figures:
        figures += _read_figures(report)
    return figures


def _recipe(checkpoint: Path) -> str:
    settings = read_notes(checkpoint).get("settings")
    return str(settings.get("recipe", "unknown")) if isinstance(settings, dict) else "unknown"


def _read_figures(report: Path) -> list[Figure]:
    try:
        raw: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        protocol = f"{raw['protocol']}, {raw['part']}, {raw['pictures']} images"
        return [
            _figure(name, raw["mean"][name], unit, protocol) for name, unit in _FIGURE_UNITS.items()
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FathomError(
            Code.BAD_DATA,
            expected="the JSON of `python -m training eval`",
            got=f"{report}: {type(error).__name__} {error}",
            repair="evaluate the checkpoint again and give that file",
        ) from error


def _figure(name: str, value: float, unit: str, protocol: str) -> Figure:
    return Figure(
        name=name,
        value=float(value),
        unit=unit,
        protocol=protocol,
        machine=describe_machine(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


if __name__ == "__main__":
    sys.exit(main())
