"""Which plan of a model runs here. Knows cards and versions, and neither TensorRT nor a GPU.

A plan is compiled for GPUs and by one version of one library, and runs nowhere else. The card says
for which: "SM 8.6,8.9; tensorrt-rtx 1.7.1.116; batch 1 to 8".
"""

import re
from dataclasses import dataclass

from fathom.card import Card, ModelFile
from fathom.errors import Code, FathomError

TARGETS = ("tensorrt", "tensorrt-rtx")
# Every plan of either library begins so.
_MAGIC = bytes.fromhex("76747274")
_MADE_FOR = re.compile(
    r"(?:SM (?P<gpus>[\d., ]+); )?(?P<library>tensorrt(?:-rtx)?) (?P<version>[\w.]+);"
    r" batch 1 to (?P<largest>\d+)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plan would run: the GPU's compute capability, the library and its version."""

    capability: tuple[int, int]
    library: str
    version: str

    def __str__(self) -> str:
        major, minor = self.capability
        return f"SM {major}.{minor}; {self.library} {self.version}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan's file and the largest batch that it was built for."""

    file: ModelFile
    max_batch: int


def choose_plan(card: Card, place: Place, precision: str = "auto") -> Plan:
    """The card's plan for this place, the smallest precision first unless one is asked for.

    raises  BAD_MODEL if there is none, with the export that makes one
    """
    fitting = [
        Plan(file, int(made["largest"]))
        for file in card.files
        if file.target in TARGETS and precision in {"auto", file.precision}
        if (made := _MADE_FOR.fullmatch(file.made_for)) and _fits(made, place)
    ]
    if not fitting:
        made_for = [f"{f.precision}: {f.made_for}" for f in card.files if f.target in TARGETS]
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"a plan for {place}" + ("" if precision == "auto" else f", {precision}"),
            got="; ".join(made_for) or "no plans",
            repair=f"python -m export CHECKPOINT --name {card.name} --targets {place.library}"
            " on such a GPU and with this version, or --engine torch",
        )
    order = ("int8", "f16", "bf16", "f32")
    return min(fitting, key=lambda plan: _rank(plan.file.precision, order))


def check_header(data: bytes, name: str) -> None:
    """Raise BAD_MODEL for a file that is no plan, before a library that trusts it reads it."""
    if not data.startswith(_MAGIC):
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"a TensorRT plan, which begins with {_MAGIC.hex()}",
            got=f"{name}, which begins with {data[:4].hex() or 'nothing'}",
            repair="export the model again with `python -m export`",
        )


def _fits(made: "re.Match[str]", place: Place) -> bool:
    gpus = [gpu.strip() for gpu in (made["gpus"] or "").split(",") if gpu.strip()]
    here = "{}.{}".format(*place.capability)
    return (
        made["library"] == place.library
        and made["version"] == place.version
        and (not gpus or here in gpus)
    )


def _rank(precision: str, order: tuple[str, ...]) -> int:
    return order.index(precision) if precision in order else len(order)
