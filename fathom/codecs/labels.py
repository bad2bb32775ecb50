"""Class labels on the wire, both ways: one byte a pixel, 0 = no class."""

import cv2
import numpy as np
import zstandard
from numpy.typing import NDArray

from fathom.codecs.depth import compress, decode_png, decompress, encode_png
from fathom.errors import Code, FathomError
from fathom.geometry import Size
from fathom.values import LabelEncoding


def encode_labels(labels: NDArray[np.uint8], encoding: LabelEncoding) -> bytes:
    """Encode class ids; labels (H, W) uint8."""
    match encoding:
        case LabelEncoding.RAW8:
            return labels.tobytes()
        case LabelEncoding.PNG8:
            return encode_png(labels)
        case LabelEncoding.ZSTD8:
            return compress(labels.tobytes())


def decode_labels(data: bytes, encoding: LabelEncoding, size: Size) -> NDArray[np.uint8]:
    """Decode class ids; raises BAD_REQUEST where the bytes do not fit the encoding and size."""
    try:
        match encoding:
            case LabelEncoding.RAW8:
                return np.frombuffer(data, np.uint8).reshape(size)
            case LabelEncoding.PNG8:
                pixels = decode_png(data, size)
                if pixels.dtype != np.uint8:
                    raise ValueError  # noqa: TRY301 - one answer for every misfit
                return pixels.astype(np.uint8, copy=False)
            case LabelEncoding.ZSTD8:
                raw = decompress(data, size[0] * size[1])
                return np.frombuffer(raw, np.uint8).reshape(size)
    except (ValueError, zstandard.ZstdError, cv2.error) as error:
        raise FathomError(
            Code.BAD_REQUEST,
            expected=f"{size[1]}x{size[0]} labels as {encoding}",
            got=f"{len(data)} bytes that do not decode to that",
            repair="pass the data, encoding and size of one and the same answer",
        ) from error
