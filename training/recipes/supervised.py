"""Plain supervision: metric depth from measured depth alone, the floor for every other recipe."""

from training.losses import LogGradient, SiLog
from training.recipes.recipe import Recipe
from training.schedules import Constant, OneCycle

SUPERVISED = Recipe(
    name="supervised",
    # silog near convergence is about 1.5 and the gradient sum about 0.3: edges get a third of it.
    terms=(SiLog(weight=Constant(1.0)), LogGradient(weight=Constant(1.5))),
    learning_rate=OneCycle(),
    preset={"epochs": 80, "batch_size": 8, "encoder_lr": 3e-4, "decoder_lr": 1e-3},
)
