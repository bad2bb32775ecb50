"""Classes beside depth, from the depth decoder's own maps: what separates things shapes depth too.

System 003: a U-Net on decoder features, Dice + focal at 0.1 of the loss. The head is the student's
segmentation head; a graph of depth alone is exported without it.
"""

from training.recipes.recipe import Recipe
from training.recipes.supervised import SUPERVISED
from training.schedules import Constant
from training.terms.segmentation import Segmentation

CROSS_TASK_KD = Recipe(
    name="cross-task-kd",
    terms=(*SUPERVISED.terms, Segmentation(weight=Constant(0.1))),
    learning_rate=SUPERVISED.learning_rate,
    preset={**SUPERVISED.preset, "classes": 13},
)
