"""How good something is, under a protocol that has a name.

Anything that answers pictures with depth can be scored: a student, a model file, a teacher.
"""

from training.evaluation.alignment import Alignment
from training.evaluation.metrics import Metrics, mean_metrics, measure
from training.evaluation.protocols import PROTOCOLS, EvalProtocol
from training.evaluation.scored import Answer, Predictor, Scored, ScoredTeacher, scored_student
from training.evaluation.scoring import (
    Report,
    Scoring,
    answered,
    evaluate,
    least_fitted,
    score,
)

__all__ = [
    "PROTOCOLS",
    "Alignment",
    "Answer",
    "EvalProtocol",
    "Metrics",
    "Predictor",
    "Report",
    "Scored",
    "ScoredTeacher",
    "Scoring",
    "answered",
    "evaluate",
    "least_fitted",
    "mean_metrics",
    "measure",
    "score",
    "scored_student",
]
