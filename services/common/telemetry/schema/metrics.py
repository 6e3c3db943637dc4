"""All metrics of all services."""

from typing import Final

from services.common.telemetry.schema import (
    asr_metrics,
    escalation_metrics,
    gateway_metrics,
    model_metrics,
    process_metrics,
    record_metrics,
    tool_metrics,
    tts_metrics,
    turn_metrics,
)
from services.common.telemetry.schema.metric import Metric

BY_SERVICE: Final[dict[str, tuple[Metric, ...]]] = {
    "gateway": gateway_metrics.METRICS,
    "asr": asr_metrics.METRICS,
    "brain": (
        *turn_metrics.METRICS,
        *model_metrics.METRICS,
        *tool_metrics.METRICS,
        *record_metrics.METRICS,
    ),
    "tts": tts_metrics.METRICS,
    "escalation": escalation_metrics.METRICS,
    "every process": process_metrics.METRICS,
}
METRICS: Final = {metric.name: metric for metrics in BY_SERVICE.values() for metric in metrics}
"""All by name."""
