"""The student in Triton's Python backend: for a Triton that has no other, on a CPU by OpenVINO.

This file is copied into every published version; it stands on its own and on that version's card.
"""

import ctypes
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import triton_python_backend_utils as triton  # type: ignore[import-not-found]  # Triton brings it

_USED = ctypes.c_char_p(b"used_dltensor")


class TritonPythonModel:
    """One instance of the model, a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the file that the configuration names, if it is the one that was measured."""
        config = json.loads(args["model_config"])
        name = config["parameters"]["file"]["string_value"]
        folder = Path(args["model_repository"]) / args["model_version"]
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        _verify(card, folder)
        self._outputs = [output["name"] for output in config["output"]]
        network = ov.Core().read_model(folder / name)
        network.reshape([1, *card["input_size"], 3])
        hints = {"PERFORMANCE_HINT": "LATENCY"}  # bf16 where the processor has it, as by default
        self._request = ov.Core().compile_model(network, "CPU", hints).create_infer_request()

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response per request, frame by frame: on a CPU a batch gains nothing."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        # DLPack both ways: the stub was built for NumPy 1, and under NumPy 2 its own conversions
        # give wrong bytes without a word.
        sent = triton.get_input_tensor_by_name(request, "frames")
        frames = np.frombuffer(np.from_dlpack(sent).tobytes(), np.uint8).reshape(sent.shape())
        found: dict[str, list[Any]] = {name: [] for name in self._outputs}
        for frame in frames:
            answered = self._request.infer(frame[None])
            for name, maps in found.items():
                maps.append(np.array(answered[name][0]))
        return triton.InferenceResponse(
            [_tensor(name, np.stack(maps)) for name, maps in found.items()]
        )


def _tensor(name: str, maps: np.ndarray[Any, Any]) -> Any:
    """The stub marks a capsule that it took as "used_dlpack", where the standard has
    "used_dltensor"; NumPy would complain of that in the log, once for every answer."""
    capsule = maps.__dlpack__()
    tensor = triton.Tensor.from_dlpack(name, capsule)
    ctypes.pythonapi.PyCapsule_SetName(ctypes.py_object(capsule), _USED)
    return tensor


def _verify(card: dict[str, Any], folder: Path) -> None:
    """Raise for the first file that is not the one on the card: Triton then loads no model."""
    for file in card["files"]:
        path = folder.parent / file["path"]
        if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            raise triton.TritonModelException(f"{file['path']} is not the file that was measured")
