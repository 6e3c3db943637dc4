"""What becomes of a turn that is over, beside its record: metrics, and whether its trace is kept."""

from dataclasses import dataclass, field

from services.brain.turn_metrics import TurnMetrics
from services.brain.turn_verdict import Conclusion, why_kept
from services.common.telemetry import trace


@dataclass(frozen=True, slots=True)
class TurnWatch:
    """One a brain. The limits are settings of the brain (settings.py tells their reasons), in ms."""

    metrics: TurnMetrics = field(default_factory=TurnMetrics)
    slow_turn_ms: int = 2000
    dead_air_ms: int = 3000

    def concluded(self, turn: Conclusion) -> None:
        # First: a metric leads to a trace only when it is exported.
        if why := why_kept(turn, self.slow_turn_ms):
            trace.keep(turn.traceparent, why)
        self.metrics.concluded(turn)
