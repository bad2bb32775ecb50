"""From settings to the recipe that is run: which terms, towards what, at which rates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from fathom.errors import Code, FathomError
from training.losses import Term
from training.recipes import compose
from training.recipes.recipe import Recipe
from training.schedules import Constant, OneCycle, Poly, Schedule
from training.settings import TrainSettings
from training.terms.parts import Taught
from training.terms.segmentation import Segmentation

SCHEDULES: Mapping[str, Schedule] = MappingProxyType({"one-cycle": OneCycle(), "poly": Poly()})


def recipe_of(settings: TrainSettings) -> Recipe:
    """The recipe that settings, with its preset among them, ask for.

    raises  BAD_SETTING if something it requires was not given
    """
    recipe = compose(settings.recipe)
    for name in recipe.requires:
        if getattr(settings, name) is None:
            raise FathomError(
                Code.BAD_SETTING,
                expected=f"--{name.replace('_', '-')}, which the recipe {recipe.name} requires",
                got="none",
                repair="give it; --help says what it is",
            )
    if settings.schedule is not None:
        recipe = replace(recipe, learning_rate=SCHEDULES[settings.schedule])
    if settings.labels_weight is not None:
        recipe = replace(recipe, terms=weighed(recipe.terms, settings.labels_weight))
    if settings.lambda_kd is None:
        return recipe
    return recipe.taught(
        Taught(
            lambda_kd=settings.lambda_kd,
            labelled=settings.labelled,
            unlabelled=settings.unlabelled is not None,
            scale_free=settings.unlabelled_scale == "free",
        )
    )


def weighed(terms: Sequence[Term], weight: float) -> tuple[Term, ...]:
    """The terms, with this weight on the one that names classes; BAD_SETTING if there is none."""
    if not any(isinstance(term, Segmentation) for term in terms):
        raise FathomError(
            Code.BAD_SETTING,
            expected="--labels-weight with a recipe that names classes",
            got=", ".join(term.name for term in terms),
            repair="add cross-task-kd to the recipe, as in a+cross-task-kd",
        )
    return tuple(
        replace(term, weight=Constant(weight)) if isinstance(term, Segmentation) else term
        for term in terms
    )
