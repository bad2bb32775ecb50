"""Sharper where the detail is: a network taught by patches of its own answer (system 000).

The base is plain supervision or motion alone. Beside it: patches of a frozen student's and a second
teacher's answers, depth that is smooth inside an object, and attention between channels.
"""

from training.recipes.recipe import Recipe
from training.recipes.self_supervised import SELF_SUPERVISED
from training.recipes.supervised import SUPERVISED
from training.schedules import Constant, Scaled
from training.terms.consistency import SemanticConsistency
from training.terms.patch_kd import PatchKd

# System 000 weighs patches 1 where reprojection weighs 2; silog is ten times reprojection.
PATCHES = PatchKd(weight=Constant(5.0))

PATCH_KD = Recipe(
    name="patch-kd",
    terms=(*SUPERVISED.terms, PATCHES, SemanticConsistency(weight=Constant(0.1))),
    learning_rate=SUPERVISED.learning_rate,
    preset={**SUPERVISED.preset, "teacher": "ensemble", "attention": 2},
    requires=("own_teacher", "teacher_weights"),
)

# A video has no classes, hence no consistency inside them.
PATCH_KD_FROM_MOTION = Recipe(
    name="patch-kd-self-supervised",
    terms=(*SELF_SUPERVISED.terms, PatchKd(weight=Scaled(PATCHES.weight, 0.1))),
    learning_rate=SELF_SUPERVISED.learning_rate,
    preset={**SELF_SUPERVISED.preset, "teacher": "ensemble", "attention": 2},
    companion=SELF_SUPERVISED.companion,
    requires=(*SELF_SUPERVISED.requires, "own_teacher", "teacher_weights"),
)
