"""Teachers by the name that `--teacher` takes, from weights at the path that goes with it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from fathom.errors import Code, FathomError
from training.teachers.ensemble import LogMean, Mirrored
from training.teachers.meter import Meter
from training.teachers.onnx_file import OnnxFile, OnnxForm
from training.teachers.own import OwnStudent
from training.teachers.pruned import Pruned
from training.teachers.teacher import Teacher, Unit
from training.teachers.transformers_model import TransformersModel


def meter(folder: Path) -> Teacher:
    return Meter(folder / "meter_xxs_nyu.safetensors", folder / "meter_border_mask.png")


def pruned(folder: Path) -> Teacher:
    stem = folder / "mobilenetv2_blconv7dw_nyu_pruned"
    return Pruned(stem.with_suffix(".safetensors"), stem.with_suffix(".graph.json"))


def ensemble(folder: Path) -> Teacher:
    """Both, mirrored; the better one counts more."""
    return LogMean([Mirrored(meter(folder)), Mirrored(pruned(folder))], [0.6, 0.4])


def onnx(unit: Unit) -> Callable[[Path], Teacher]:
    return lambda path: OnnxFile(path, OnnxForm(unit=unit))


def transformers(unit: Unit) -> Callable[[Path], Teacher]:
    return lambda path: TransformersModel(path, unit)


# Folder of weights for the first three, a file for own and onnx, a folder or a name for the rest.
TEACHERS: Mapping[str, Callable[[Path], Teacher]] = MappingProxyType(
    {
        "meter": meter,
        "pruned": pruned,
        "ensemble": ensemble,
        "own": OwnStudent,
        **{f"onnx-{unit}": onnx(unit) for unit in Unit},
        "transformers": TransformersModel,
        **{f"transformers-{unit}": transformers(unit) for unit in Unit},
    }
)


def open_teacher(name: str, weights: Path) -> Teacher:
    """raises  BAD_SETTING for an unknown name, BAD_MODEL for a file that is not that teacher"""
    if name not in TEACHERS:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"a teacher of {', '.join(TEACHERS)}",
            got=name,
            repair="give one of these names",
        )
    return TEACHERS[name](weights)
