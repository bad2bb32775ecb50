"""The field's figures of one picture, and their mean over pictures. Knows no protocol.

Metrics are taken per picture and then averaged over pictures, the usual way for NYU; pooling all
pixels gives a different RMSE.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.geometry import F32

EDGE_HEIGHTS = (0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Lower is better except for the deltas and edge_f1.

    edge_f1  None where the truth has no edge
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    log10: float
    delta1: float
    delta2: float
    delta3: float
    silog: float
    edge_f1: float | None = None


def measure(predicted_m: F32, truth_m: F32, *, inclusive: bool = False) -> Metrics:
    """The metrics over pixels that all count, edges apart.

    predicted_m, truth_m  (n,) metres, above 0
    inclusive             a ratio at the very bound of a delta counts as within
    """
    p, g = predicted_m.astype(np.float64), truth_m.astype(np.float64)
    error, log_error = p - g, np.log(p) - np.log(g)
    ratio = np.maximum(p / g, g / p)
    within = np.less_equal if inclusive else np.less
    spread = np.mean(log_error**2) - np.mean(log_error) ** 2
    return Metrics(
        abs_rel=float(np.mean(np.abs(error) / g)),
        sq_rel=float(np.mean(error**2 / g)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(log_error**2))),
        log10=float(np.mean(np.abs(log_error)) / np.log(10)),
        delta1=float(np.mean(within(ratio, 1.25))),
        delta2=float(np.mean(within(ratio, 1.25**2))),
        delta3=float(np.mean(within(ratio, 1.25**3))),
        silog=float(100 * np.sqrt(max(spread, 0.0))),
    )


def mean_metrics(rows: Iterable[Metrics]) -> Metrics:
    """The mean over pictures, each counting the same; of edges, over those that have any."""
    listed = list(rows)
    means: dict[str, float] = {}
    for field in fields(Metrics):
        values = [value for row in listed if (value := getattr(row, field.name)) is not None]
        if values:
            means[field.name] = float(np.mean(values))
    return Metrics(**means)


def edge_f1(predicted_m: F32, truth_m: F32, counted: NDArray[np.bool_]) -> float | None:
    """Are steps of depth where they should be? F1 of edge pixels, the mean over three heights.

    predicted_m, truth_m  (H, W) metres; only pixels whose whole 3x3 counts are compared
    returns               0 to 1, or None where the truth has no edge of any height

    An edge is where Sobel's gradient (unscaled, so eight times a metre a pixel) is above a height:
    Hu et al., Revisiting Single Image Depth Estimation, WACV 2019, section 4.3. It hangs on the
    size of the maps, which the protocol fixes, and on metres.
    """
    inside = cv2.erode(counted.astype(np.uint8), np.ones((3, 3)), borderValue=0) > 0
    predicted, truth = _steepness(predicted_m)[inside], _steepness(truth_m)[inside]
    scores = []
    for height in EDGE_HEIGHTS:
        said, true = predicted > height, truth > height
        if true.any():
            hits = np.count_nonzero(said & true)
            scores.append(2 * hits / (np.count_nonzero(said) + np.count_nonzero(true)))
    return float(np.mean(scores)) if scores else None


def _steepness(depth_m: F32) -> NDArray[np.float64]:
    wide = depth_m.astype(np.float64)
    return np.hypot(cv2.Sobel(wide, cv2.CV_64F, 1, 0), cv2.Sobel(wide, cv2.CV_64F, 0, 1))
