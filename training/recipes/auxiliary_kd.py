"""A teacher beside the truth, and unlabelled pictures that only the teacher can speak about.

Hu et al., Boosting Light-Weight Depth Estimation via Knowledge Distillation, KSEM 2023. What they
leave unsaid, lambda and the number of unlabelled pictures, are settings; these are our choice.

`RUNS` are the eight runs of their comparison, by their names: network t(eacher) or s(tudent), X the
labelled pictures, U auxiliary ones. Runs 5 to 7 are taught by run 1, run 8 by run 2.
"""

from collections.abc import Mapping
from typing import TypeAlias

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

Preset: TypeAlias = Mapping[str, str | float]

TEACHER: Preset = {"encoder": "resnet34", "decoder": "se5x5"}
STUDENT: Preset = {"encoder": "mobilenet-v2", "decoder": "se5x5"}
# Auxiliary pictures are of like scale, which is their condition: the teacher's metres count.
KD: Preset = {"teacher": "own", "lambda_kd": 0.5, "unlabelled_scale": "teacher"}
MIXED: Preset = {"unlabelled_per_labelled": 1.0}


def _run(name: str, *preset: Preset, requires: str = "") -> Recipe:
    said = {key: value for part in preset for key, value in part.items()}
    return Recipe(
        name=name,
        terms=SUPERVISED.terms,
        learning_rate=SUPERVISED.learning_rate,
        preset={**SUPERVISED.preset, **said},
        requires=tuple(requires.split()),
    )


RUNS = (
    _run("N_t_X", TEACHER),
    _run("N_t_X_U_label", TEACHER, MIXED, requires="auxiliary"),
    _run("N_s_X_no_KD", STUDENT),
    _run("N_s_X_U_label_no_KD", STUDENT, MIXED, requires="auxiliary"),
    _run("N_s_X", STUDENT, KD, requires="teacher_weights"),
    _run("N_s_U_unlabel", STUDENT, KD, {"labelled": False}, requires="teacher_weights unlabelled"),
    _run("N_s_X_U_unlabel", STUDENT, KD, MIXED, requires="teacher_weights unlabelled"),
    _run("N_s_X_U_label", STUDENT, KD, MIXED, requires="teacher_weights auxiliary"),
)
