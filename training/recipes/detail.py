"""A smooth base from half the picture, and the detail it lacks from all of it, added (system 001).

Depth, slope and normal count alike, on the base against smooth depth and on the sum against all of
it; so what is left for the detail branch is the difference.
"""

from training.recipes.recipe import Recipe
from training.recipes.supervised import SUPERVISED
from training.schedules import Constant
from training.terms.base_target import OnBase
from training.terms.rmse_log import RmseLog
from training.terms.sobel import SobelGradient, SobelNormal

ONE = Constant(1.0)
THREE_PARTS = (RmseLog(ONE), SobelGradient(ONE, in_log=False), SobelNormal(ONE))

DETAIL = Recipe(
    name="detail",
    terms=(*THREE_PARTS, *(OnBase(term, ONE) for term in THREE_PARTS)),
    learning_rate=SUPERVISED.learning_rate,
    preset={**SUPERVISED.preset, "detail": True},
)
