"""How an answer may be fitted to the truth before it is compared. Knows no protocol and no network.

A fitted figure says what a network knows of shape; only a raw one says what it knows of metres. So
every figure carries its alignment in the protocol's name, and the two never meet in one table row.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import F32
from training.teachers.teacher import Unit

# What a fitted inverse depth of 0 or below becomes; each protocol clamps it further.
FARTHEST_M = 1000.0


class Alignment(StrEnum):
    """What is fitted to the truth, picture by picture.

    RAW     nothing: metres as answered
    MEDIAN  one factor, so that the medians agree (Zhou et al., CVPR 2017)
    AFFINE  factor and shift of inverse depth, by least squares (Ranftl et al., TPAMI 2022, MiDaS)
    """

    RAW = "raw"
    MEDIAN = "median"
    AFFINE = "affine"


ALLOWED = {
    Unit.METRIC: tuple(Alignment),
    Unit.RELATIVE: (Alignment.MEDIAN, Alignment.AFFINE),
    Unit.AFFINE: (Alignment.AFFINE,),
}


def refuse_unit(unit: Unit, how: Alignment) -> None:
    """raises  BAD_SETTING where answers of this unit mean nothing under this alignment"""
    if how not in ALLOWED[unit]:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"--align {' or '.join(ALLOWED[unit])} for {unit} answers",
            got=str(how),
            repair="only answers in metres can be compared as they are",
        )


def align(answer: F32, truth_m: F32, counted: NDArray[np.bool_], unit: Unit, how: Alignment) -> F32:
    """The answer in metres.

    answer   (H, W) in `unit`
    truth_m  (H, W) metres where `counted`
    """
    if how is Alignment.RAW:
        return answer
    g = truth_m[counted].astype(np.float64)
    if how is Alignment.MEDIAN:
        return answer * np.float32(np.median(g) / np.median(answer[counted]))
    inverse = answer if unit is Unit.AFFINE else 1 / answer
    factor, shift = fit_line(inverse[counted].astype(np.float64), 1 / g)
    fitted = np.maximum(factor * inverse + shift, 1 / FARTHEST_M)
    return np.asarray(1 / fitted, np.float32)


def fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Factor and shift of the line through (x, y) by least squares; a flat x gives (0, mean)."""
    spread = x - x.mean()
    variance = float(spread @ spread)
    if variance <= np.finfo(np.float32).eps * max(float(x @ x), 1e-30):
        return 0.0, float(y.mean())
    factor = float(spread @ y) / variance
    return factor, float(y.mean() - factor * x.mean())
