"""Ways of training, by the name that `--recipe` takes."""

from collections.abc import Mapping
from types import MappingProxyType

from training.recipes.auxiliary_kd import AUXILIARY_KD
from training.recipes.recipe import Recipe
from training.recipes.supervised import SUPERVISED

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (SUPERVISED, AUXILIARY_KD)}
)
