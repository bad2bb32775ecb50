"""A student as an ONNX file with quantised layers, the form in which TensorRT takes int8.

Activations and weights are symmetric, weights per channel, and biases stay float: TensorRT's parser
takes no other form (an int32 bias, ONNX Runtime's default, is refused).
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.openvino import refuse_bad_calibration
from export.pictures import Pictures
from export.program import INPUT

_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    "DedicatedQDQPair": True,
}


class _Frames(CalibrationDataReader):  # type: ignore[misc]  # untyped
    def __init__(self, frames: NDArray[np.uint8]) -> None:
        self._left: Iterator[NDArray[np.uint8]] = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        frame = next(self._left, None)
        return None if frame is None else {INPUT: frame[None]}


def save_qdq(onnx_path: Path, path: Path, calibration: Pictures) -> None:
    """Write the ONNX file with Q and DQ pairs round its convolutions and sums.

    raises  BAD_DATA if the pictures are too few or none
    """
    refuse_bad_calibration(calibration)
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(onnx_path, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                path,
                _Frames(calibration.frames),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Add"],
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options=_OPTIONS,
            )
    finally:
        logging.root.setLevel(level)
