"""A student as OpenVINO's own files: a network and, beside it, its weights.

The file keeps float32; bf16 is what the processor makes of it at run time, where it has it. int8 is
another file, quantised with what real pictures make the activations do.
"""

import logging
from pathlib import Path

import numpy as np
import openvino as ov

from export.pictures import Pictures
from fathom.errors import Code, FathomError

# Below 20 the ranges of activations are chance; 300 lost no less delta1 than 100 did.
LEAST_CALIBRATION, CALIBRATION = 20, 100
# The standard deviation of pixels' differences to their neighbours over that of the pixels: photos
# are near 0.2, noise is 1.4.
_MOST_ROUGHNESS = 0.8


def save_openvino(onnx_path: Path, path: Path) -> None:
    """Write the ONNX file as `path` (.xml) with weights in float32 beside it (.bin)."""
    ov.save_model(ov.Core().read_model(onnx_path), path, compress_to_fp16=False)


def save_int8(onnx_path: Path, path: Path, calibration: Pictures) -> None:
    """Quantise an ONNX file's weights and activations and write it as `save_openvino` does.

    Post-training, symmetric: asymmetric activations lost 0.2 points of delta1 more here.
    raises  BAD_DATA if the pictures are too few or none
    """
    refuse_bad_calibration(calibration)
    import nncf

    nncf.set_log_level(logging.ERROR)
    frames = [frame[None] for frame in calibration.frames]
    network = ov.Core().read_model(onnx_path)
    quantised = nncf.quantize(
        network,
        nncf.Dataset(frames),
        subset_size=len(frames),
        preset=nncf.QuantizationPreset.PERFORMANCE,
    )
    ov.save_model(quantised, path, compress_to_fp16=False)


def refuse_bad_calibration(pictures: Pictures) -> None:
    """Quantising with what no camera sees gives a network that is wrong in silence.

    raises  BAD_DATA for too few pictures, or for noise
    """
    if len(pictures.frames) < LEAST_CALIBRATION:
        raise _bad(f"at least {LEAST_CALIBRATION} pictures", str(len(pictures.frames)))
    grey = pictures.frames.astype(np.float32).mean(axis=-1)
    inside = pictures.content[:, :, 1:] & pictures.content[:, :, :-1]
    roughness = float(np.diff(grey, axis=2)[inside].std() / grey[pictures.content].std())
    if not roughness < _MOST_ROUGHNESS:  # NaN, of pictures all alike, is refused as well
        raise _bad("photos", f"pixels that say nothing of their neighbours ({roughness:.2f})")


def _bad(expected: str, got: str) -> FathomError:
    return FathomError(
        Code.BAD_DATA,
        expected=f"{expected} to calibrate int8 with",
        got=got,
        repair="give --calibration a folder with photos of the scenes that will be seen",
    )
