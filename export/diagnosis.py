"""Why a network that disagrees with its student probably does: the usual mistakes, tried in turn.

A mistake is recognised by making it on purpose: if the student, given the same mistake, agrees with
the network, that is what happened. The words are for the person who has to repair it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from export.networks import Network
from export.pictures import Pictures
from fathom.geometry import F32, PAD_RGB, RGB

# A mistake is the one that was made if making it explains this share of the error.
_EXPLAINED = 0.75
# Within it a factor is that of a unit.
_SAME = 0.02
_LEAST_SPREAD = 1e-3
_UNITS = {100.0: "centimetres", 1000.0: "millimetres", 0.001: "kilometres", 3.2808: "feet"}


class _Mistake(NamedTuple):
    """What a graph may do to its frames, and what to say of it."""

    make: Callable[[Pictures], RGB]
    said: str


def _painted(level: int) -> Callable[[Pictures], RGB]:
    def paint(pictures: Pictures) -> RGB:
        return np.where(pictures.content[..., None], pictures.frames, np.uint8(level))

    return paint


def _cornered(pictures: Pictures) -> RGB:
    """The picture in the top left corner, padding below and on its right."""
    moved = []
    for frame, content in zip(pictures.frames, pictures.content, strict=True):
        top, left = np.argwhere(content)[0]
        moved.append(np.roll(frame, (-top, -left), (0, 1)))
    return np.stack(moved)


_MISTAKES = (
    _Mistake(
        lambda pictures: np.ascontiguousarray(pictures.frames[..., ::-1]),
        "red and blue are swapped: the graph takes BGR, frames are RGB",
    ),
    *(
        _Mistake(
            _painted(level),
            f"it sees letterbox padding of {level} where frames have {PAD_RGB}:"
            " leave padding to fathom.geometry.Letterbox",
        )
        for level in (0, 255)
    ),
    _Mistake(
        _cornered,
        "it moves the picture into the top left corner, and the letterbox has it in the middle:"
        " leave padding to fathom.geometry.Letterbox",
    ),
)


def diagnose(network: Network, reference: Network, pictures: Pictures, precision: str) -> str:
    """One sentence on what is probably wrong."""
    found_m, wanted_m = network(pictures.frames).depth_m, reference(pictures.frames).depth_m
    if not np.isfinite(found_m).all():
        share = float((~np.isfinite(found_m)).mean())
        return f"{share:.0%} of its pixels are no numbers: look for NaN in the weights" + (
            ", or for a layer that overflows float16" if precision == "f16" else ""
        )
    inside = pictures.content
    if float((found_m.std(axis=(1, 2)) / found_m.mean(axis=(1, 2))).min()) < _LEAST_SPREAD:
        return "one depth everywhere: the graph lost its input"
    unexplained = (1 - _EXPLAINED) * _median_error(found_m, wanted_m, inside)
    scale = float(np.median(found_m[inside] / wanted_m[inside]))
    if _median_error(found_m / np.float32(scale), wanted_m, inside) < unexplained:
        return f"all depths are {scale:.4g} times the student's{_unit(scale)}"
    for mistake in _MISTAKES:
        mistaken_m = reference(mistake.make(pictures)).depth_m
        if _median_error(found_m, mistaken_m, inside) < unexplained:
            return mistake.said
    if precision == "int8":
        return "its steps do not fit real activations: calibrate on pictures of such scenes"
    return "it is another network than the checkpoint, or the engine computes it wrongly"


def _unit(scale: float) -> str:
    for factor, name in _UNITS.items():
        if abs(scale / factor - 1) < _SAME:
            return f": {name}, and metres are wanted"
    return ": its unit is not metres, or its focal length another"


def _median_error(
    found_m: F32, wanted_m: F32, inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> float:
    return float(np.median(np.abs(found_m - wanted_m)[inside] / wanted_m[inside]))
