"""Hand-overs to people."""

from services.common.telemetry.schema.metric import Metric

_RESULT = ("result",)
_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0)

TRANSFERS_RUNNING = Metric("tandem_escalation_transfers_running", "gauge", "Hand-overs under way now.")
TRANSFERS = Metric(
    "tandem_escalation_transfers_total",
    "counter",
    "Hand-overs: transferred, returned (the agent has the caller again), cancelled, call_gone, given_up (the service "
    "was stopped).",
    _RESULT,
)
TRANSFER = Metric("tandem_escalation_transfer_seconds", "histogram", "From the wish to its outcome.", _RESULT, _SECONDS)
TICKETS = Metric(
    "tandem_escalation_tickets_total",
    "counter",
    "Tickets: delivered, kept (no ticket_url, or it failed), redelivered, lost.",
    _RESULT,
)
METRICS = (TRANSFERS_RUNNING, TRANSFERS, TRANSFER, TICKETS)
