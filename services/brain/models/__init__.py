"""The models of an agent: several deployments behind one answer."""

from services.brain.models.answer import Models
from services.brain.models.call import ModelCall, call_of
from services.brain.models.failure import Failure, ModelFailed
from services.brain.models.ladder import Why
from services.brain.models.metrics import ModelMetrics
from services.brain.models.standings import Standings
from services.brain.models.step import Step, StepKind, Usage

__all__ = [
    "Failure",
    "ModelCall",
    "ModelFailed",
    "ModelMetrics",
    "Models",
    "Standings",
    "Step",
    "StepKind",
    "Usage",
    "Why",
    "call_of",
]
