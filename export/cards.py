"""The card of an export: what is known of the checkpoint, and what was measured just now."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from export.gates import Gate, NotRun
from export.networks import median_costs_ms
from export.pictures import Pictures
from export.program import output_names
from export.source import Source
from export.targets import Made
from export.triton.config import MODEL_SOURCE
from fathom.card import Card, Figure, ModelFile, sha256_of
from fathom.errors import Code, FathomError
from fathom.machine import describe_machine
from training.data.labels import CLASSES, COLOURS

_UNITS = {"delta1": "share", "abs_rel": "ratio", "rmse": "m", "log10": "log10 m"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file cannot tell of itself: its name, its data, and reports of its evaluation.

    images  what engines were compared on
    part    what the loss of accuracy was measured on
    """

    name: str
    summary: str
    data: str
    data_licence: str
    images: str
    part: str = ""
    reports: Sequence[Path] = ()


def make_card(
    origin: Origin,
    source: Source,
    version: int,
    made: Sequence[Made],
    gates: Sequence[Gate | NotRun],
    costs: Sequence[Figure] = (),
) -> Card:
    """Everything measured with its protocol and machine, every file with its hash."""
    student, spec = source.student, source.student.spec
    figures = [*_measured(origin, gates), *costs]
    for report in origin.reports:
        figures += _read_figures(report)
    return Card(
        name=origin.name,
        version=version,
        summary=origin.summary,
        recipe=source.recipe,
        data=origin.data,
        data_licence=origin.data_licence,
        parameters=sum(parameter.numel() for parameter in student.parameters()),
        input_size=student.network_size,
        outputs=output_names(student),
        classes=CLASSES if spec.classes else (),
        class_colours=COLOURS if spec.classes else (),
        focal_px=spec.focal_px,
        range_m=(spec.min_m, spec.max_m),
        figures=tuple(figures),
        files=(*(file for each in made for file in each.files(version)), _triton_file(version)),
    )


def waive(card: Card, failed: Sequence[Gate]) -> Card:
    """The card of a version that is published although these gates failed."""
    return replace(card, waived=tuple(gate.title for gate in failed))


def _measured(origin: Origin, gates: Sequence[Gate | NotRun]) -> list[Figure]:
    figures = []
    for gate in gates:
        if isinstance(gate, Gate) and gate.name != "signature":
            lost = gate.name.endswith("lost")
            on, unit = (origin.part, "share") if lost else (origin.images, "ratio")
            figures.append(_figure(gate.title, gate.value, unit, f"{on} against PyTorch float32"))
    return figures


def measure_costs(made: Sequence[Made], pictures: Pictures) -> list[Figure]:
    """What a call of everything that runs here costs, in turns."""
    timed = {
        f"{each.target} {precision}": network
        for each in made
        if not each.is_plan
        for precision, network in each.runs.items()
    }
    costs_ms = median_costs_ms(list(timed.values()), pictures.frames)
    protocol = "median call, batch of one, in turns"
    return [
        _figure(f"{name} cost", cost_ms, "ms", protocol)
        for name, cost_ms in zip(timed, costs_ms, strict=True)
    ]


def _triton_file(version: int) -> ModelFile:
    return ModelFile(
        path=f"{version}/{MODEL_SOURCE.name}",
        target="triton-python",
        precision="any",
        bytes=MODEL_SOURCE.stat().st_size,
        sha256=sha256_of(MODEL_SOURCE),
        made_for="Triton's Python backend with openvino",
    )


def _read_figures(report: Path) -> list[Figure]:
    try:
        raw: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        protocol = f"{raw['protocol']}, {raw['part']}, {raw['pictures']} images"
        figures = [
            _figure(name, raw["mean"][name], unit, protocol) for name, unit in _UNITS.items()
        ]
        if raw.get("labels"):
            figures.append(_figure("miou", raw["labels"]["miou"], "share", protocol))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FathomError(
            Code.BAD_DATA,
            expected="the JSON of `python -m training eval`",
            got=f"{report}: {type(error).__name__} {error}",
            repair="evaluate the checkpoint again and give that file",
        ) from error
    return figures


def _figure(name: str, value: float, unit: str, protocol: str) -> Figure:
    return Figure(
        name=name,
        value=float(value),
        unit=unit,
        protocol=protocol,
        machine=describe_machine(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
