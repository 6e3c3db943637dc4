"""Telemetry's own, of each process."""

from services.common.telemetry.schema.metric import Metric

SPANS = Metric(
    "tandem_telemetry_spans_total",
    "counter",
    "Spans: exported; unsampled, of calls that were not drawn and that nobody wanted; dropped, for too many waited or "
    "were held; failed, for the collector is down, slow or does not want them.",
    ("result",),
)
SPANS_HELD = Metric("tandem_telemetry_spans_held", "gauge", "Spans that wait for the decision about their call.")
LOG_LINES_SUPPRESSED = Metric(
    "tandem_telemetry_log_lines_suppressed_total", "counter", "Lines of log that came too often to be written."
)
METRICS = (SPANS, SPANS_HELD, LOG_LINES_SUPPRESSED)
