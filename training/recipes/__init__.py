"""Ways of training, by the name that `--recipe` takes; `a+b` has the terms of both.

To add one, write a file beside this with a `Recipe` and list it below. Its terms come from
`training.losses` and `training.terms`; what they need beside depth, `training.feed` puts into the
batch, or a companion. Settings it was tuned with go into its preset.
"""

from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType

from training.recipes.auxiliary_kd import AUXILIARY_KD, RUNS
from training.recipes.cross_task_kd import CROSS_TASK_KD
from training.recipes.detail import DETAIL
from training.recipes.patch_kd import PATCH_KD, PATCH_KD_FROM_MOTION
from training.recipes.recipe import Recipe
from training.recipes.self_supervised import SELF_SUPERVISED
from training.recipes.spatial_kd import SPATIAL_KD
from training.recipes.supervised import SUPERVISED

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            SUPERVISED,
            AUXILIARY_KD,
            *RUNS,
            SPATIAL_KD,
            CROSS_TASK_KD,
            SELF_SUPERVISED,
            PATCH_KD,
            PATCH_KD_FROM_MOTION,
            DETAIL,
        )
    }
)


def compose(name: str) -> Recipe:
    """The recipe of a name, or of several joined by `+`.

    raises  KeyError for an unknown name, BAD_SETTING for recipes that do not go together
    """
    return reduce(Recipe.joined, (RECIPES[part] for part in name.split("+")))
