"""One answer in each form `/predict` offers. Runs off the event loop."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np

from fathom.codecs.answer import decode_answer
from fathom.codecs.files import as_npy, as_ply, as_sent
from fathom.values import DepthEncoding, EncodedDepth, Image


class Format(StrEnum):
    PNG16 = "png16"
    NPY = "npy"
    JPG = "jpg"
    JSON = "json"
    PLY = "ply"


@dataclass(frozen=True, slots=True)
class Form:
    """What a format asks of the answer, how it is made of it, and what HTTP calls it."""

    encoding: DepthEncoding
    media_type: str
    write: Callable[[EncodedDepth, Image], bytes]


def _as_json(answer: EncodedDepth, _: Image) -> bytes:
    depth_m = decode_answer(answer).depth_m
    known = depth_m[np.isfinite(depth_m)]
    quantiles = np.quantile(known, [0, 0.5, 1]) if known.size else [None, None, None]
    stages = asdict(answer.stages).items()
    body = {
        "model": answer.model,
        "version": answer.version,
        "width": answer.width_px,
        "height": answer.height_px,
        "camera": asdict(answer.camera),
        "focal_given": answer.focal_given,
        "nearest_m": _number(quantiles[0]),
        "median_m": _number(quantiles[1]),
        "farthest_m": _number(quantiles[2]),
        "known_share": known.size / depth_m.size,
        "stages_ms": {name.removesuffix("_s"): seconds * 1e3 for name, seconds in stages},
        "depth": {"encoding": answer.encoding, "base64": _base64(answer.data)},
        "labels": None,
    }
    if answer.label_encoding is not None:
        body["labels"] = {"encoding": answer.label_encoding, "base64": _base64(answer.labels)}
    return json.dumps(body).encode()


def _number(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


FORMS: Mapping[Format, Form] = {
    Format.PNG16: Form(DepthEncoding.PNG16_MM, "image/png", as_sent),
    Format.JPG: Form(DepthEncoding.JPEG_COLOUR, "image/jpeg", as_sent),
    Format.NPY: Form(DepthEncoding.F32_M, "application/x-npy", as_npy),
    Format.PLY: Form(DepthEncoding.F32_M, "application/x-ply", as_ply),
    Format.JSON: Form(DepthEncoding.U16_MM, "application/json", _as_json),
}
