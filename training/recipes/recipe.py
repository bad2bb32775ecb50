"""What a way of training consists of. The loop reads this and knows no recipe or term by name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from training.losses import Term
from training.schedules import Schedule
from training.terms.parts import kd_mix


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A composition of loss terms and schedules.

    terms          summed, each with its own weight
    learning_rate  factor on the peak rates of encoder and decoder, as training goes from 0 to 1
    preset         settings this recipe was tuned with, by field name; a flag goes before them
    """

    name: str
    terms: tuple[Term, ...]
    learning_rate: Schedule
    preset: Mapping[str, int | float | str]

    def taught(self, lambda_kd: float, *, unlabelled: bool) -> "Recipe":
        """The same terms, lambda of them towards the teacher; and all of them, up to scale,
        towards it on unlabelled pictures, if there are such."""
        return replace(self, terms=kd_mix(self.terms, lambda_kd, unlabelled=unlabelled))

    def needs(self, part: str) -> bool:
        """Whether some term needs an optional part of the batch."""
        return any(part in term.needs for term in self.terms)
