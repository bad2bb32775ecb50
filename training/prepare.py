"""From settings to the recipe that is run: which terms, towards what, at which rates."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from fathom.errors import Code, FathomError
from training.recipes import compose
from training.recipes.recipe import Recipe
from training.schedules import OneCycle, Poly, Schedule
from training.settings import TrainSettings
from training.terms.parts import Taught

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
