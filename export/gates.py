"""What an exported file must prove before it may be published, measured on real pictures.

Each gate is one number with its bound. Reference is the PyTorch student in float32: an engine that
disagrees with it is wrong, however plausible its pictures look.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import openvino as ov
from numpy.typing import NDArray
from openvino import properties as props

from export.onnx import INPUT, OUTPUT
from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Letterbox, Size
from training.evaluation import Predictor
from training.students.student import Student

# Sums in another order move float32 by about 1e-6; bf16 keeps 8 bits, so 0.4 % is its own rounding.
ONNX_MAX_RELATIVE = 1e-3
BF16_MEDIAN_RELATIVE = 1e-2
_WARM_UP_CALLS, _TIMED_CALLS = 10, 50
# A map of one value is a graph that lost its input.
LEAST_SPREAD = 1e-2


@dataclass(frozen=True, slots=True)
class Gate:
    """One measured number and the bound it must keep."""

    name: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def passed(self) -> bool:
        if self.at_least:
            return self.value >= self.bound
        return self.value <= self.bound  # False for NaN, as it should be


def read_frames(folder: Path, network_size: Size) -> RGB:
    """Every picture of a folder as the network sees it, (N, H, W, 3) uint8; raises BAD_DATA."""
    frames = []
    for path in sorted(folder.iterdir()):
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) if _is_picture(path) else None
        if pixels is not None:
            box = Letterbox((pixels.shape[0], pixels.shape[1]), network_size)
            frames.append(box.embed(np.asarray(pixels, np.uint8)))
    if not frames:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"pictures in {folder} to compare engines on",
            got="none",
            repair="give --images a folder of photos",
        )
    return np.stack(frames)


def onnx_predictor(path: Path) -> Predictor:
    """The file in ONNX Runtime on the CPU, float32."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def predict(frames: RGB) -> F32:
        return np.asarray(session.run([OUTPUT], {INPUT: frames})[0], np.float32)

    return predict


def openvino_predictor(path: Path, precision: str) -> Predictor:
    """The file in OpenVINO on the CPU, as the server runs it: static, one frame at a time."""
    core = ov.Core()
    network = core.read_model(path)
    height, width = (
        dimension.get_length() for dimension in list(network.input(0).partial_shape)[1:3]
    )
    network.reshape([1, height, width, 3])
    types = {"bf16": ov.Type.bf16, "f32": ov.Type.f32}
    compiled = core.compile_model(
        network, "CPU", {props.hint.inference_precision(): types[precision]}
    )

    def predict(frames: RGB) -> F32:
        # A request's output is its own memory and the next call's too, so each map is copied.
        return np.stack(
            [np.array(compiled(frame[None])[OUTPUT][0], np.float32) for frame in frames]
        )

    return predict


def run_gates(student: Student, onnx_path: Path, frames: RGB) -> list[Gate]:
    """Measure an ONNX file against the student it came from.

    frames  (N, H, W, 3) uint8, real pictures
    """
    reference_m = student.predict(frames)
    onnx_m = onnx_predictor(onnx_path)(frames)
    alone_m = onnx_predictor(onnx_path)(frames[:1])
    bf16_m = openvino_predictor(onnx_path, "bf16")(frames)
    return [
        Gate("finite", float(np.isfinite(onnx_m).mean()), 1.0, at_least=True),
        Gate("spread over mean", _spread(onnx_m), LEAST_SPREAD, at_least=True),
        Gate("onnx f32 max relative", _relative(onnx_m, reference_m).max(), ONNX_MAX_RELATIVE),
        Gate("batch of one", _relative(alone_m, reference_m[:1]).max(), ONNX_MAX_RELATIVE),
        Gate(
            "openvino bf16 median relative",
            float(np.median(_relative(bf16_m, reference_m))),
            BF16_MEDIAN_RELATIVE,
        ),
        Gate("openvino bf16 scale", _scale_error(bf16_m, reference_m), BF16_MEDIAN_RELATIVE),
    ]


def median_latency_ms(predict: Predictor, frames: RGB) -> float:
    """Median milliseconds of a call with one frame, after a warm-up: the model's cost here."""
    seconds = []
    for run in range(_WARM_UP_CALLS + _TIMED_CALLS):
        one = frames[run % len(frames)][None]
        before_s = time.perf_counter()
        predict(one)
        seconds.append(time.perf_counter() - before_s)
    return 1e3 * statistics.median(seconds[_WARM_UP_CALLS:])


def table(gates: Sequence[Gate]) -> str:
    """The gates as text, one a line."""
    lines = [f"{'gate':<32}{'measured':>12}{'bound':>14}"]
    for gate in gates:
        sign = ">=" if gate.at_least else "<="
        verdict = "ok" if gate.passed else "FAILED"
        lines.append(f"{gate.name:<32}{gate.value:>12.3g}{sign:>5}{gate.bound:>9.3g}  {verdict}")
    return "\n".join(lines)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}


def _relative(predicted_m: F32, reference_m: F32) -> NDArray[np.float64]:
    wide = reference_m.astype(np.float64)
    return np.abs(predicted_m.astype(np.float64) - wide) / wide


def _scale_error(predicted_m: F32, reference_m: F32) -> float:
    return abs(float(np.median(predicted_m / reference_m)) - 1)


def _spread(depth_m: F32) -> float:
    return float((depth_m.std(axis=(1, 2)) / depth_m.mean(axis=(1, 2))).min())
