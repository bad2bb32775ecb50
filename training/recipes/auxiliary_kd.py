"""A teacher beside the truth, and unlabelled pictures that only the teacher can speak about.

Hu et al., Boosting Light-Weight Depth Estimation via Knowledge Distillation, KSEM 2023. What they
leave unsaid, lambda and the number of unlabelled pictures, are settings; these are our choice.
"""

from training.recipes.recipe import Recipe
from training.recipes.supervised import SUPERVISED

AUXILIARY_KD = Recipe(
    name="auxiliary-kd",
    terms=SUPERVISED.terms,
    learning_rate=SUPERVISED.learning_rate,
    preset={
        **SUPERVISED.preset,
        "teacher": "ensemble",
        "lambda_kd": 0.5,
        "unlabelled_per_labelled": 1.0,
    },
)
