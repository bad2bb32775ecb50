"""From a model's folder and the settings to the engine that runs it.

What an engine needs is imported when it is asked for: serving on a CPU installs no torch.
"""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from fathom.card import Card
from fathom.errors import Code, FathomError
from server.engines.engine import Engine
from server.engines.files import choose_file
from server.settings import Settings

_Opener: TypeAlias = Callable[[Card, Path, Settings], Engine]


def open_engine(card: Card, folder: Path, settings: Settings) -> Engine:
    """Open the engine of the settings on one model.

    folder  the model's, where its card lies
    raises  BAD_MODEL, BAD_SETTING; also for an engine whose packages are not installed
    """
    name = _automatic(card) if settings.engine == "auto" else settings.engine.partition(":")[0]
    try:
        return _OPENERS[name](card, folder, settings)
    except ImportError as error:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"the packages of --engine {name}",
            got=str(error),
            repair=f"pip install --constraint constraints.txt '.[{name}]'",
        ) from error


def _automatic(card: Card) -> str:
    """What this machine runs this model on fastest, from what is installed and was exported."""
    targets = {file.target for file in card.files}
    if any(Path("/dev").glob("nvidia[0-9]*")):
        if {"tensorrt", "tensorrt-rtx"} & targets and _installed("tensorrt", "tensorrt_rtx"):
            return "tensorrt"
        if "torch" in targets and _installed("torch"):
            return "torch"
    return "openvino"


def _installed(*packages: str) -> bool:
    return any(importlib.util.find_spec(package) for package in packages)


def _openvino(card: Card, folder: Path, settings: Settings) -> Engine:
    from server.engines.openvino import TARGETS, OpenVinoEngine

    file = choose_file(card, TARGETS, int8=settings.precision == "int8")
    return OpenVinoEngine(
        folder / file.path,
        input_size=card.input_size,
        outputs=card.outputs,
        precision=settings.precision,
        lanes=settings.lanes or _cpu_lanes(settings),
        threads=settings.cpu_threads,
        cache_folder=settings.cache_folder,
    )


def _onnxruntime(card: Card, folder: Path, settings: Settings) -> Engine:
    from server.engines.onnxruntime import TARGETS, OnnxRuntimeEngine

    return OnnxRuntimeEngine(
        folder / choose_file(card, TARGETS).path,
        input_size=card.input_size,
        outputs=card.outputs,
        precision=settings.precision,
        lanes=settings.lanes or _cpu_lanes(settings),
        threads=settings.cpu_threads,
        max_batch=settings.max_batch,
    )


def _torch(card: Card, folder: Path, settings: Settings) -> Engine:
    from server.engines.torch import TARGETS, TorchEngine

    return TorchEngine(
        folder / choose_file(card, TARGETS).path,
        input_size=card.input_size,
        outputs=card.outputs,
        precision=settings.precision,
        lanes=settings.lanes or _cpu_lanes(settings),
        threads=settings.cpu_threads,
        max_batch=settings.max_batch,
    )


def _tensorrt(card: Card, folder: Path, settings: Settings) -> Engine:
    from server.engines.tensorrt import TensorRtEngine
    from server.engines.tensorrt_driver import CudaDriver

    return TensorRtEngine(
        CudaDriver(),
        card,
        folder,
        precision=settings.precision,
        lanes=settings.lanes,
        max_batch=settings.max_batch,
    )


def _triton(card: Card, folder: Path, settings: Settings) -> Engine:  # noqa: ARG001
    from server.engines.triton import TritonEngine

    return TritonEngine(
        settings.engine.removeprefix("triton://").split(","),
        card,
        lanes=settings.lanes,
        max_batch=settings.max_batch,
    )


def _ray(card: Card, folder: Path, settings: Settings) -> Engine:  # noqa: ARG001
    from server.engines.ray import RayEngine, ServeReplicas

    return RayEngine(ServeReplicas(card), card, lanes=settings.lanes, max_batch=settings.max_batch)


def _cpu_lanes(settings: Settings) -> int:
    # Two lanes of half the cores each serve a saturated stream faster than one of all cores does,
    # and leave one camera at 60 frames/s about 2 ms older: well inside its next frame.
    return min(2, settings.cores)


_OPENERS: Mapping[str, _Opener] = MappingProxyType(
    {
        "openvino": _openvino,
        "onnxruntime": _onnxruntime,
        "torch": _torch,
        "tensorrt": _tensorrt,
        "triton": _triton,
        "ray": _ray,
    }
)
