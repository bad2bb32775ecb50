"""What a way of training consists of. The loop reads this and knows no recipe or term by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from torch import nn

from fathom.errors import Code, FathomError
from training.data.sample import Batch
from training.losses import Term
from training.schedules import Schedule
from training.students.student import Prediction, Student
from training.terms.parts import Taught, kd_mix


class Told(Protocol):
    """The settings a recipe may look at when it prepares a run."""

    @property
    def epochs(self) -> int: ...
    @property
    def feature_teacher(self) -> Path | None: ...


class Companion(Protocol):
    """What is beside the student in training and never ships: a teacher's decoder, a pose network.

    learns  is optimised at the decoder's rate and saved with the run; frozen parts are kept out
    call    from a batch to what the terms compare, as training goes from 0 to 1; runs under
            autocast; the batch may come back with more in it
    """

    @property
    def learns(self) -> nn.Module: ...
    def __call__(
        self, student: Student, batch: Batch, progress: float
    ) -> tuple[Prediction, Batch]: ...


class Alone:
    """No companion: the student sees the frames."""

    def __init__(self, told: Told, student: Student) -> None:  # noqa: ARG002  # it needs neither
        self.learns = nn.Module()

    def __call__(
        self,
        student: Student,
        batch: Batch,
        progress: float,  # noqa: ARG002  # nothing changes
    ) -> tuple[Prediction, Batch]:
        prediction: Prediction = student(batch.frames)
        return prediction, batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A composition of loss terms and schedules.

    terms          summed, each with its own weight
    learning_rate  factor on the peak rates of encoder and decoder, as training goes from 0 to 1
    preset         settings this recipe was tuned with, by field name; a flag goes before them
    companion      made once a run, from settings and the fresh student, which it may freeze in part
    requires       settings without which it cannot run, by field name
    """

    name: str
    terms: tuple[Term, ...]
    learning_rate: Schedule
    preset: Mapping[str, int | float | str | bool]
    companion: Callable[[Told, Student], Companion] = Alone
    requires: tuple[str, ...] = ()

    def taught(self, how: Taught) -> "Recipe":
        """The same terms, a share of them towards a teacher; on unlabelled pictures all of them."""
        return replace(self, terms=kd_mix(self.terms, how))

    def joined(self, other: "Recipe") -> "Recipe":
        """Both recipes' terms; where they differ otherwise, this one's word counts.

        raises  BAD_SETTING if each has a companion
        """
        if self.companion is not Alone and other.companion is not Alone:
            raise FathomError(
                Code.BAD_SETTING,
                expected="at most one recipe that trains something beside the student",
                got=f"{self.name}+{other.name}",
                repair="train with one of them, then take the result as a teacher for the other",
            )
        known = {term.name for term in self.terms}
        return replace(
            self,
            name=f"{self.name}+{other.name}",
            terms=(*self.terms, *(term for term in other.terms if term.name not in known)),
            preset={**other.preset, **self.preset},
            companion=other.companion if self.companion is Alone else self.companion,
            requires=(*self.requires, *other.requires),
        )

    def needs(self, part: str) -> bool:
        """Whether some term needs an optional part of the batch."""
        return any(part in term.needs for term in self.terms)
