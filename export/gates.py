"""What an exported file must prove before it may be published, measured on real pictures.

Each gate is one number with its bound. Reference is the PyTorch student in float32: an engine that
disagrees with it is wrong, however plausible its pictures look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from export.diagnosis import diagnose
from export.networks import Maps, Network
from export.pictures import Pictures
from fathom.geometry import F32
from training.evaluation import Report

# A map of one value is a graph that lost its input.
LEAST_SPREAD = 1e-2
# What a narrower engine may cost on the evaluation set: half a point of delta1, one of mIoU.
MOST_DELTA1_LOST, MOST_MIOU_LOST = 0.005, 0.01


@dataclass(frozen=True, slots=True)
class Bounds:
    """Largest relative error in the middle and at the 99th percentile, and of the common scale;
    least share of pixels that are given the same class."""

    median: float
    p99: float
    scale: float
    labels: float


# Sums in another order move float32 by about 1e-6; bf16 keeps 8 bits, so 0.4 % is its own rounding,
# and f16 keeps 11. For int8 it is the loss of accuracy that decides: maps may differ more.
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "f32": Bounds(1e-4, 1e-3, 1e-4, 0.999),
        "f16": Bounds(5e-3, 5e-2, 5e-3, 0.99),
        "bf16": Bounds(1e-2, 1e-1, 1e-2, 0.95),
        "int8": Bounds(4e-2, 4e-1, 3e-2, 0.9),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One measured number and the bound it must keep.

    subject  what was measured, such as "openvino bf16"
    why      what is probably wrong and how to repair it, where it does not pass
    """

    subject: str
    name: str
    value: float
    bound: float
    at_least: bool = False
    why: str = ""

    @property
    def title(self) -> str:
        return f"{self.subject} {self.name}"

    @property
    def passed(self) -> bool:
        if self.at_least:
            return self.value >= self.bound
        return self.value <= self.bound  # False for NaN, as it should be


@dataclass(frozen=True, slots=True)
class NotRun:
    """A file that was built and that this machine cannot run: it passes nothing."""

    subject: str


@np.errstate(invalid="ignore", over="ignore")  # infinities are a finding, not a surprise
def judge(
    subject: str, precision: str, network: Network, reference: Network, pictures: Pictures
) -> list[Gate]:
    """Hold a network against the student it came from, where there is picture and not padding."""
    wanted, found = reference(pictures.frames), network(pictures.frames)
    bounds = BOUNDS[precision]
    error = relative_error(found.depth_m, wanted.depth_m)[pictures.content]
    numbers = (
        ("finite", float(np.isfinite(found.depth_m).mean()), 1.0, True),
        ("spread over mean", _spread(found), LEAST_SPREAD, True),
        ("median relative", float(np.median(error)), bounds.median, False),
        ("p99 relative", float(np.percentile(error, 99)), bounds.p99, False),
        ("scale", _scale_error(found, wanted, pictures), bounds.scale, False),
    )
    gates = [
        Gate(subject=subject, name=name, value=value, bound=bound, at_least=at_least)
        for name, value, bound, at_least in numbers
    ]
    if not all(gate.passed for gate in gates):
        why = diagnose(network, reference, pictures, precision)
        gates = [gate if gate.passed else _because(gate, why) for gate in gates]
    if wanted.labels is None:
        return gates
    return [*gates, _judge_labels(subject, found, wanted, pictures, bounds.labels)]


def _judge_labels(
    subject: str, found: Maps, wanted: Maps, pictures: Pictures, bound: float
) -> Gate:
    agreed = 0.0
    if found.labels is not None:
        agreed = float((found.labels == wanted.labels)[pictures.content].mean())
    gate = Gate(subject=subject, name="labels agree", value=agreed, bound=bound, at_least=True)
    why = "classes are left out, counted from 0, or computed too coarsely: export them anew"
    return gate if gate.passed else _because(gate, why)


def judge_accuracy(subject: str, report: Report, reference: Report) -> list[Gate]:
    """What a network lost on the evaluation set against the student it came from."""
    lost = [("delta1 lost", reference.mean.delta1 - report.mean.delta1, MOST_DELTA1_LOST)]
    if report.labels is not None and reference.labels is not None:
        lost.append(("mIoU lost", reference.labels.miou - report.labels.miou, MOST_MIOU_LOST))
    why = "too much is lost: take a wider precision, or calibrate on more pictures of such scenes"
    gates = [
        Gate(subject=subject, name=name, value=float(value), bound=bound)
        for name, value, bound in lost
    ]
    return [gate if gate.passed else _because(gate, why) for gate in gates]


def table(gates: Sequence[Gate | NotRun]) -> str:
    """The gates as text, one a line, and below them what is wrong."""
    lines = [f"{'gate':<46}{'measured':>11}{'bound':>13}"]
    for gate in gates:
        if isinstance(gate, NotRun):
            lines.append(f"{gate.subject:<46}{'built, not run':>14}")
            continue
        sign = ">=" if gate.at_least else "<="
        verdict = "ok" if gate.passed else "FAILED"
        lines.append(f"{gate.title:<46}{gate.value:>11.3g}{sign:>4}{gate.bound:>9.3g}  {verdict}")
    wrong = [gate for gate in gates if isinstance(gate, Gate) and not gate.passed]
    told = dict.fromkeys(f"{gate.subject}: {gate.why}" for gate in wrong)
    return "\n".join([*lines, *told])


def relative_error(found_m: F32, wanted_m: F32) -> F32:
    """|found - wanted| / wanted, in float64 between the two."""
    wide = wanted_m.astype(np.float64)
    return np.asarray(np.abs(found_m.astype(np.float64) - wide) / wide, np.float32)


def _scale_error(found: Maps, wanted: Maps, pictures: Pictures) -> float:
    ratio = found.depth_m[pictures.content] / wanted.depth_m[pictures.content]
    return abs(float(np.median(ratio)) - 1)


def _spread(found: Maps) -> float:
    maps = found.depth_m
    return float((maps.std(axis=(1, 2)) / maps.mean(axis=(1, 2))).min())


def _because(gate: Gate, why: str) -> Gate:
    return Gate(
        subject=gate.subject,
        name=gate.name,
        value=gate.value,
        bound=gate.bound,
        at_least=gate.at_least,
        why=why,
    )
