"""What a student is punished for: each loss is a term with a name, a weight and what it needs.

Knows no network and no loop. Every term says how many elements it used, so that a mask which is
always empty shows up as an error and not as a loss of zero. All of it is float32: in bfloat16 a
difference of logs near one pixel's neighbour is mostly rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from fathom.errors import Code, FathomError
from training.data.sample import Batch
from training.schedules import Schedule
from training.students.student import Prediction

MIN_M = 1e-3

Part = TypeVar("Part")


class TermValue(NamedTuple):
    """value  scalar float32 with a graph; elements  how many numbers it was averaged from."""

    value: Tensor
    elements: int


class Term(Protocol):
    """One summand of the training loss.

    weight  its factor as training goes from 0 to 1
    needs   optional parts of the batch that must be there, by field name
    """

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> Schedule: ...
    @property
    def needs(self) -> frozenset[str]: ...

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue: ...


@dataclass(frozen=True, slots=True)
class SiLog:
    """10 sqrt(mean(d^2) - 0.85 mean(d)^2), d = ln p - ln g over the valid pixels of the batch.

    Eigen et al., NIPS 2014, section 3.2, with the weight and the factor of BTS (Lee et al., 2019).
    The floor inside the root bounds the gradient at a perfect prediction, otherwise infinite.

    unbiased  the spread over n - 1, as ZoeDepth has it; the same for many pixels
    """

    weight: Schedule
    mean_share: float = 0.85
    unbiased: bool = False
    name: ClassVar[str] = "silog"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        d = log_difference(prediction, batch)
        elements = int(batch.valid.sum())
        if elements < 2:
            return TermValue(d.sum() * 0, 0)
        square, mean = (d * d).sum() / elements, d.sum() / elements
        spread = square - self.mean_share * mean**2
        if self.unbiased:
            spread = spread + (square - mean**2) / (elements - 1)
        return TermValue(10 * torch.sqrt(spread.clamp(min=1e-6)), elements)


@dataclass(frozen=True, slots=True)
class LogGradient:
    """Mean |difference of d to the right and lower neighbour|, summed over strides 1, 2, 4, 8.

    Keeps edges where silog is content with blur (MegaDepth, Li & Snavely, CVPR 2018, section 4.2).
    Both neighbours must be valid; a scale takes every 2^k-th pixel, it does not average.
    """

    weight: Schedule
    scales: int = 4
    name: ClassVar[str] = "log_gradient"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        difference = log_difference(prediction, batch)
        total, elements = difference.sum() * 0, 0
        for k in range(self.scales):
            d, valid = difference[:, :: 2**k, :: 2**k], batch.valid[:, :: 2**k, :: 2**k]
            across, down = valid[:, :, 1:] & valid[:, :, :-1], valid[:, 1:] & valid[:, :-1]
            used = int(across.sum() + down.sum())
            if used:
                steps = ((d[:, :, 1:] - d[:, :, :-1]).abs() * across).sum()
                steps = steps + ((d[:, 1:] - d[:, :-1]).abs() * down).sum()
                total, elements = total + steps / used, elements + used
        return TermValue(total, elements)


def log_difference(prediction: Prediction, batch: Batch) -> Tensor:
    """ln p - ln g, (N, H, W) float32; zero, without a gradient, where the truth is not valid."""
    predicted = prediction.depth_m.float().clamp(min=MIN_M)
    return (predicted.log() - batch.depth_m.float().clamp(min=MIN_M).log()) * batch.valid


def required(part: Part | None, name: str, term: str) -> Part:
    """An optional part of batch or prediction that a term cannot do without.

    raises  BAD_DATA
    """
    if part is None:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"{name} in every batch, which the loss term {term} needs",
            got="a batch without",
            repair="train on data and with a student that have them, or drop the term",
        )
    return part


def check_used(elements: Mapping[str, int]) -> None:
    """Refuse an epoch in which a term had nothing to work on: its zero would pass for perfection.

    elements  numbers used in the whole epoch, by term name
    raises    BAD_DATA
    """
    for name, used in elements.items():
        if not used:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"the loss term {name} to use some pixels in an epoch",
                got="none",
                repair="check that depth is in range and its mask is not empty, or drop the term",
            )
