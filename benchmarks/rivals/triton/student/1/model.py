"""The student in Triton's Python backend, by the names that Triton asks for."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton  # type: ignore[import-not-found]  # Triton brings it

# Triton's stub takes no PYTHONPATH.
sys.path.insert(0, str(Path(__file__).resolve().parents[5]))

from benchmarks.rivals.student import Student


class TritonPythonModel:
    """One of the model's instances, each a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        del args
        self._student = Student.from_environment()

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response per request; without batching there is one at a time."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        # DLPack both ways: the stub was built for NumPy 1, and under NumPy 2 its own conversions
        # give wrong bytes without a word. The copy, because DLPack takes nothing read-only.
        jpeg = np.from_dlpack(triton.get_input_tensor_by_name(request, "jpeg")).tobytes()
        depth_mm = np.frombuffer(self._student.answer(jpeg), "<u2").copy()
        return triton.InferenceResponse([triton.Tensor.from_dlpack("depth_mm", depth_mm)])
