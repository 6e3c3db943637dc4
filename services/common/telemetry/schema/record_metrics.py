"""A brain's records of calls."""

from services.common.telemetry.schema.metric import Metric

EVENTS = Metric(
    "tandem_brain_record_events_total",
    "counter",
    "Events of calls' records: sent to the bus, dropped while it was away, written into SQL, refused by it.",
    ("result",),
)
WAITING = Metric("tandem_brain_record_events_waiting", "gauge", "Events that the bus has not taken yet.")
METRICS = (EVENTS, WAITING)
