"""How good a predictor is, under a protocol that has a name. Knows no network: anything that maps
frames to metres can be scored, be it a student, an ONNX session or a compiled OpenVINO model.

Metrics are taken per picture and then averaged over pictures, the usual way for NYU; pooling all
pixels gives a different RMSE.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Letterbox, Size
from training.data.nyu import MAP_SIZE, NyuFolder
from training.data.sample import Sample


class Predictor(Protocol):
    """Maps frames (N, H, W, 3) uint8 RGB of network size to depth_m (N, H, W) float32, metres."""

    def __call__(self, frames: RGB) -> F32: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalProtocol:
    """Which pixels are compared with which truth.

    rows, cols    the crop, on maps of 240x320 (every second row and column of 480x640)
    min_m, max_m  truth strictly between them counts; the prediction is clamped to them
    """

    name: str
    rows: slice
    cols: slice
    min_m: float
    max_m: float

    def mask(self, truth_m: F32) -> NDArray[np.bool_]:
        inside = np.zeros(truth_m.shape, np.bool_)
        inside[self.rows, self.cols] = True
        return inside & (truth_m > self.min_m) & (truth_m < self.max_m)


# Eigen's box is rows 45:471, columns 41:601 of 480x640; here its every second row and column. The
# prediction is compared as it is: no alignment to the truth, no averaging with a mirrored pass.
PROTOCOLS: Mapping[str, EvalProtocol] = MappingProxyType(
    {
        "nyu-eigen": EvalProtocol(
            name="nyu-eigen", rows=slice(23, 236), cols=slice(21, 301), min_m=1e-3, max_m=10.0
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The field's nine figures; lower is better except for the deltas."""

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    log10: float
    delta1: float
    delta2: float
    delta3: float
    silog: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Mean metrics and where they come from; also one row per picture, in order of the ids."""

    protocol: str
    part: str
    pictures: int
    mean: Metrics
    per_picture: Mapping[str, Metrics]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def measure(predicted_m: F32, truth_m: F32) -> Metrics:
    """The metrics over pixels that all count.

    predicted_m, truth_m  (n,) metres, above 0
    """
    p, g = predicted_m.astype(np.float64), truth_m.astype(np.float64)
    error, log_error = p - g, np.log(p) - np.log(g)
    ratio = np.maximum(p / g, g / p)
    spread = np.mean(log_error**2) - np.mean(log_error) ** 2
    return Metrics(
        abs_rel=float(np.mean(np.abs(error) / g)),
        sq_rel=float(np.mean(error**2 / g)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(log_error**2))),
        log10=float(np.mean(np.abs(log_error)) / np.log(10)),
        delta1=float(np.mean(ratio < 1.25)),
        delta2=float(np.mean(ratio < 1.25**2)),
        delta3=float(np.mean(ratio < 1.25**3)),
        silog=float(100 * np.sqrt(max(spread, 0.0))),
    )


def mean_metrics(rows: Iterable[Metrics]) -> Metrics:
    """The mean over pictures, each picture counting the same."""
    listed = list(rows)
    return Metrics(
        **{f.name: float(np.mean([getattr(r, f.name) for r in listed])) for f in fields(Metrics)}
    )


def predict_map(predictor: Predictor, image: RGB, network_size: Size) -> F32:
    """Depth at 240x320 for a picture of 480x640 or 240x320, the way the server makes it.

    A 480x640 prediction gives every second row and column, as the truth was stored.
    """
    box = Letterbox((image.shape[0], image.shape[1]), network_size)
    depth_m = box.extract(predictor(box.embed(image)[None])[0], box.source_size)
    step = image.shape[0] // MAP_SIZE[0]
    return np.ascontiguousarray(depth_m[::step, ::step])


def score(predicted_m: F32, sample: Sample, protocol: EvalProtocol, name: str) -> Metrics:
    """The metrics of one picture from its 240x320 maps.

    raises  BAD_MODEL if a compared pixel has no finite answer, BAD_DATA if none can be compared
    """
    counted = protocol.mask(sample.depth_m) & sample.valid
    if not counted.any():
        raise FathomError(
            Code.BAD_DATA,
            expected=f"truth within {protocol.min_m:g}..{protocol.max_m:g} m in picture {name}",
            got="none inside the crop",
            repair="check that depth is stored in millimetres",
        )
    chosen = predicted_m[counted]
    if not np.isfinite(chosen).all():
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"finite metres for picture {name}",
            got=f"{int((~np.isfinite(chosen)).sum())} pixels that are not",
            repair="look at the weights or the precision; nothing was averaged over",
        )
    return measure(np.clip(chosen, protocol.min_m, protocol.max_m), sample.depth_m[counted])


def evaluate(
    predictor: Predictor,
    folder: NyuFolder,
    part: str,
    network_size: Size,
    protocol: EvalProtocol = PROTOCOLS["nyu-eigen"],
) -> Report:
    """Score every picture of a part, one at a time, as a stream would see them."""
    rows: dict[str, Metrics] = {}
    for id_ in folder.ids(part):
        sample = folder.read(id_)
        rows[id_] = score(predict_map(predictor, sample.image, network_size), sample, protocol, id_)
    return Report(
        protocol=protocol.name,
        part=part,
        pictures=len(rows),
        mean=mean_metrics(rows.values()),
        per_picture=rows,
    )


def as_table(report: Report) -> str:
    """The mean metrics in two aligned lines under a title."""
    names = [f.name for f in fields(Metrics)]
    values = [f"{getattr(report.mean, name):.4f}" for name in names]
    widths: Sequence[int] = [max(len(n), len(v)) for n, v in zip(names, values, strict=True)]
    title = f"{report.protocol} on {report.part}, {report.pictures} pictures, mean per picture"
    lines = (
        "  ".join(text.rjust(w) for text, w in zip(row, widths, strict=True))
        for row in (names, values)
    )
    return "\n".join((title, *lines))
