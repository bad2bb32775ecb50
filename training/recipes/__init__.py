"""Ways of training, by the name that `--recipe` takes.

To add one, write a file beside this with a `Recipe` and list it below. Its terms come from
`training.losses` and `training.terms`; what they need beside depth, `training.feed` puts into the
batch. Settings it was tuned with go into its preset.
"""

from collections.abc import Mapping
from types import MappingProxyType

from training.recipes.auxiliary_kd import AUXILIARY_KD
from training.recipes.recipe import Recipe
from training.recipes.supervised import SUPERVISED

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (SUPERVISED, AUXILIARY_KD)}
)
