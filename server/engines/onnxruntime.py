"""ONNX Runtime: any ONNX file on any processor, and on a GPU where its CUDA provider is installed.

The portable second engine: on a CPU as fast as OpenVINO in float32, and without its bf16.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import Size
from server.engines.engine import EngineFault, EngineSpec, Outputs

TARGETS = ("onnx",)
INPUT = "frames"

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# On a CPU a batch of four takes four times as long as one; a GPU is idle without a batch.
_LARGEST_BATCH = {_CPU: 1, _CUDA: 16}
_DTYPES = {"depth_m": np.float32, "labels": np.uint8}
_SILENT = 4  # fatal only: what goes wrong is told by the exception


class OnnxRuntimeEngine:
    """One session; input and output memory of its own for each lane.

    model_path  an ONNX file with the dynamic batch of `python -m export`
    precision   "auto" or "f32", the file's own
    threads     processor threads of one call; 0 takes every core
    max_batch   0 takes one on a CPU and sixteen on a GPU
    raises      BAD_MODEL if the file is not such a network, BAD_SETTING for another precision
    """

    def __init__(  # noqa: PLR0913 - each is one setting of the same name
        self,
        model_path: Path,
        *,
        input_size: Size,
        outputs: tuple[str, ...],
        precision: str = "auto",
        lanes: int = 1,
        threads: int = 0,
        max_batch: int = 0,
    ) -> None:
        if precision not in {"auto", "f32"}:
            raise FathomError(
                Code.BAD_SETTING,
                expected="a precision: auto or f32, as the file is",
                got=precision,
                repair="leave --precision out, or take another engine",
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _SILENT
        wanted = [name for name in (_CUDA, _CPU) if name in ort.get_available_providers()]
        try:
            self._session = ort.InferenceSession(model_path, options, providers=wanted)
            self._check_signature(input_size, outputs)
        except Exception as error:  # ONNX Runtime's own exceptions have no base
            raise FathomError(
                Code.BAD_MODEL,
                expected=f"a network from {INPUT} (N, {input_size[0]}, {input_size[1]}, 3) uint8"
                f" to {', '.join(outputs)}",
                got=f"{model_path.name}: {str(error).strip().splitlines()[-1]}",
                repair="export the model again with `python -m export`",
            ) from error
        # Asked for is not given: without its libraries the CUDA provider steps back in silence.
        provider = self._session.get_providers()[0]
        self._spec = EngineSpec(
            name="onnxruntime",
            device=provider.removesuffix("ExecutionProvider").lower(),
            precision="f32",
            input_size=input_size,
            max_batch=max_batch or _LARGEST_BATCH[provider],
            outputs=outputs,
            lanes=lanes,
            overlap=provider == _CUDA,
        )
        self._lanes = [self._memory() for _ in range(lanes)]

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def infer(
        self,
        frames: NDArray[np.uint8],
        lane: int,
        due_s: float | None = None,  # noqa: ARG002
    ) -> Outputs:
        """Depth of a batch, written by the runtime where it will be read."""
        memory = {name: array[: len(frames)] for name, array in self._lanes[lane].items()}
        binding = self._session.io_binding()
        try:
            _bind(binding.bind_input, INPUT, frames)
            for name, array in memory.items():
                _bind(binding.bind_output, name, array)
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise EngineFault(str(error)) from error
        return Outputs(memory["depth_m"], memory.get("labels"))

    def close(self) -> None:
        """Let go of the session."""
        del self._session

    def _memory(self) -> dict[str, NDArray[Any]]:
        shape = (self._spec.max_batch, *self._spec.input_size)
        return {name: np.zeros(shape, _DTYPES[name]) for name in self._spec.outputs}

    def _check_signature(self, input_size: Size, outputs: tuple[str, ...]) -> None:
        given = {node.name: node for node in self._session.get_inputs()}
        if list(given) != [INPUT] or list(given[INPUT].shape[1:]) != [*input_size, 3]:
            told = ", ".join(f"{name} {node.shape}" for name, node in given.items())
            raise ValueError(f"its inputs are {told}")
        missing = set(outputs) - {node.name for node in self._session.get_outputs()}
        if missing:
            raise ValueError(f"it has no output {', '.join(sorted(missing))}")


def _bind(bind: Callable[..., None], name: str, array: NDArray[Any]) -> None:
    """Give an array's memory to the runtime, whatever its device: it copies only where it must."""
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
