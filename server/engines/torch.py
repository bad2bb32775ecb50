"""The exported program in PyTorch: the reference that others are compared with, and the GPU engine
where there is no TensorRT.

On a GPU: channels-last and half precision where they pay, compiled, one CUDA graph for each batch
size, pinned memory and a stream of its own for each lane, so that one lane's copies overlap another
lane's computing. On a CPU the program runs as it was exported, in float32.
"""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.errors import Code, FathomError
from fathom.geometry import Size
from server.engines.batches import graph_sizes
from server.engines.engine import EngineFault, EngineSpec, Outputs

TARGETS = ("torch",)

_CPU_PRECISIONS = {"auto": "f32", "f32": "f32"}
_GPU_PRECISIONS = {"auto": "f16", "f16": "f16", "bf16": "bf16", "f32": "f32"}
_DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}
_GPU_BATCH = 16
# CUDA asks for a few runs before a graph is captured, so that nothing allocates inside it.
_RUNS_BEFORE_CAPTURE = 3

Program = Callable[[Tensor], tuple[Tensor, ...]]


class _Lane(Protocol):
    def infer(self, frames: NDArray[np.uint8]) -> Outputs: ...


class TorchEngine:
    """One program; memory and, on a GPU, stream and graphs of its own for each lane.

    model_path  a `.pt2` of `torch.export`: frames uint8 (N, H, W, 3) to `outputs` in this order
    device      "auto", "cpu" or "cuda"
    precision   "auto", and what the device has: f32 on a CPU; f16, bf16, f32 on a GPU
    threads     processor threads of one call on a CPU; 0 takes every core
    max_batch   0 takes one on a CPU and sixteen on a GPU
    raises      BAD_MODEL if the file is not such a program, BAD_SETTING for another precision
    """

    def __init__(  # noqa: PLR0913 - each is one setting of the same name
        self,
        model_path: Path,
        *,
        input_size: Size,
        outputs: tuple[str, ...],
        device: str = "auto",
        precision: str = "auto",
        lanes: int = 1,
        threads: int = 0,
        max_batch: int = 0,
    ) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        on_gpu = device == "cuda"
        chosen = _choose_precision(precision, _GPU_PRECISIONS if on_gpu else _CPU_PRECISIONS)
        if threads:
            torch.set_num_threads(threads)
        self._spec = EngineSpec(
            name="torch",
            device=torch.cuda.get_device_name() if on_gpu else "cpu",
            precision=chosen,
            input_size=input_size,
            max_batch=max_batch or (_GPU_BATCH if on_gpu else 1),
            outputs=outputs,
            lanes=lanes,
            overlap=on_gpu,
        )
        try:
            program = _load(model_path, self._spec, device)
            self._lanes: list[_Lane] = [
                _GpuLane(program, self._spec) if on_gpu else _CpuLane(program, self._spec)
                for _ in range(lanes)
            ]
            for lane in self._lanes:
                lane.infer(np.zeros((1, *input_size, 3), np.uint8))
        except Exception as error:  # a program that is none fails in a hundred ways
            raise FathomError(
                Code.BAD_MODEL,
                expected=f"a program from (N, {input_size[0]}, {input_size[1]}, 3) uint8"
                f" to {', '.join(outputs)}",
                got=f"{model_path.name}: {(str(error).strip() or repr(error)).splitlines()[0]}",
                repair="export the model again with `python -m export`",
            ) from error

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def infer(
        self,
        frames: NDArray[np.uint8],
        lane: int,
        due_s: float | None = None,  # noqa: ARG002
    ) -> Outputs:
        """Depth of a batch, on the lane's own stream where there are streams."""
        try:
            return self._lanes[lane].infer(frames)
        except Exception as error:
            raise EngineFault(str(error)) from error

    def close(self) -> None:
        """Let go of the program and its memory."""
        self._lanes.clear()


class _CpuLane:
    def __init__(self, program: Program, spec: EngineSpec) -> None:
        self._program = program
        self._spec = spec

    def infer(self, frames: NDArray[np.uint8]) -> Outputs:
        with torch.inference_mode():
            answered = self._program(torch.from_numpy(frames))
        return _outputs([tensor.numpy() for tensor in answered], self._spec, len(frames))


class _GpuLane:
    """Pinned memory, a stream, and a graph for each batch size, captured when it is first met."""

    def __init__(self, program: Program, spec: EngineSpec) -> None:
        self._program = program
        self._spec = spec
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._sent = torch.empty((spec.max_batch, *spec.input_size, 3), dtype=torch.uint8)
        self._sent = self._sent.pin_memory()
        self._graphs: dict[int, _Graph] = {}

    def infer(self, frames: NDArray[np.uint8]) -> Outputs:
        count = len(frames)
        size = next(size for size in graph_sizes(self._spec.max_batch) if size >= count)
        if size not in self._graphs:
            self._graphs[size] = _Graph(self._program, self._sent[:size], self._stream)
        graph = self._graphs[size]
        self._sent[:count].copy_(torch.from_numpy(frames))
        with torch.cuda.stream(self._stream):
            graph.run()
        self._stream.synchronize()
        received = [tensor[:count].numpy() for tensor in graph.received]
        return _outputs(received, self._spec, count)


class _Graph:
    """Copy in, compute, copy out for one batch size, as one launch."""

    def __init__(self, program: Program, sent: Tensor, stream: torch.cuda.Stream) -> None:
        frames = torch.empty_like(sent, device="cuda")
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(_RUNS_BEFORE_CAPTURE):
                program(frames)
            self.received = [
                torch.empty_like(t, device="cpu").pin_memory() for t in program(frames)
            ]
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream):
                frames.copy_(sent, non_blocking=True)
                for target, tensor in zip(self.received, program(frames), strict=True):
                    target.copy_(tensor, non_blocking=True)

    def run(self) -> None:
        self._graph.replay()


def _load(path: Path, spec: EngineSpec, device: str) -> Program:
    """The program on its device, as a function from frames to a tuple of its outputs."""
    _refuse_pickles(path)
    module: Any = torch.export.load(path).module().to(device)
    if device == "cpu":
        return lambda frames: _as_tuple(module(frames))
    compiled: Any = torch.compile(module.to(memory_format=torch.channels_last), dynamic=False)
    dtype = _DTYPES[spec.precision]

    def run(frames: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cuda", dtype, dtype is not torch.float32):
            answered = _as_tuple(compiled(frames))
        return tuple(t.float() if t.is_floating_point() else t for t in answered)

    return run


def _refuse_pickles(path: Path) -> None:
    """Raise ValueError for an archive that would run code of its own when it is read.

    `torch.export.load` unpickles what says that it is a pickle, and also the example inputs where
    they are more than tensors.
    """
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("_config.json"):
                entries = json.loads(archive.read(name))["config"].values()
                if any(entry["use_pickle"] for entry in entries):
                    raise ValueError("it holds pickled tensors")
            elif "/sample_inputs/" in name and archive.getinfo(name).file_size:
                torch.load(io.BytesIO(archive.read(name)), weights_only=True)


def _as_tuple(answered: Any) -> tuple[Tensor, ...]:
    return (answered,) if isinstance(answered, Tensor) else tuple(answered)


def _outputs(arrays: list[NDArray[Any]], spec: EngineSpec, count: int) -> Outputs:
    """Hold what came against the contract: an exported program names no outputs."""
    by_name = dict(zip(spec.outputs, arrays, strict=True))
    for array in arrays:
        if array.shape != (count, *spec.input_size):
            raise ValueError(f"it answers {array.shape} to {count} frames")
    labels = by_name.get("labels")
    return Outputs(
        np.asarray(by_name["depth_m"], np.float32),
        None if labels is None else cast(NDArray[np.uint8], labels),
    )


def _choose_precision(precision: str, able: dict[str, str]) -> str:
    if precision not in able:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"a precision that the device has: {', '.join(able)}",
            got=precision,
            repair="auto takes the fastest of them",
        )
    return able[precision]
