"""Hand-overs to people."""

from deploy.monitoring.dashboard import Dashboard, Section
from deploy.monitoring.panels import found_traces, heatmap, lines, number, query
from deploy.monitoring.promql import buckets, per_minute, quantile, total

_MOVED = "tandem_escalation_transfers_total"
_DECIDED = 'result!~"cancelled|call_gone"'

ESCALATION = Dashboard(
    name="escalation",
    title="Tandem: hand-overs to people",
    description="Who is put through, whether somebody picks up, and whether the ticket is there before they do.",
    since="now-24h",
    sections=(
        Section(
            "Hand-overs",
            (
                number("Under way", "Now.", "short", query(total("tandem_escalation_transfers_running"))),
                number(
                    "Reached a person, 24 h",
                    "Of those that neither the agent nor the caller gave up meanwhile.",
                    "percentunit",
                    query(
                        f'sum(increase({_MOVED}{{result="transferred"}}[24h])) '
                        f"/ sum(increase({_MOVED}{{{_DECIDED}}}[24h]))"
                    ),
                    steps=((None, "red"), (0.9, "yellow"), (0.95, "green")),
                ),
                lines(
                    "By what came of them",
                    "transferred; returned, nobody was reached and the agent has the caller again; cancelled; "
                    "call_gone, the caller hung up meanwhile.",
                    "cpm",
                    query(per_minute(_MOVED, "result"), "{{result}}"),
                    stacked=True,
                ),
                lines(
                    "Asked for by agents",
                    "By agent, and what came of it.",
                    "cpm",
                    query(per_minute("tandem_brain_escalations_total", "agent", "result"), "{{agent}} {{result}}"),
                    stacked=True,
                ),
                lines(
                    "Time to the outcome",
                    "From the wish to a person, or to giving up.",
                    "s",
                    query(quantile(0.5, "tandem_escalation_transfer_seconds", "result"), "{{result}} p50"),
                    query(
                        quantile(0.95, "tandem_escalation_transfer_seconds", "result"), "{{result}} p95", exemplar=True
                    ),
                ),
                heatmap(
                    "Time to a person",
                    "How many callers waited how long.",
                    "s",
                    buckets("tandem_escalation_transfer_seconds", 'result="transferred"'),
                ),
                lines(
                    "Tickets",
                    "delivered; kept, for `escalation.ticket_url` did not take it or is not set; redelivered; lost.",
                    "cpm",
                    query(per_minute("tandem_escalation_tickets_total", "result"), "{{result}}"),
                    stacked=True,
                ),
            ),
        ),
        Section(
            "Traces",
            (
                found_traces(
                    "Hand-overs that did not reach a person",
                    "Calls whose hand-over came back. In the trace `transfer.leg` says with which SIP status, and how "
                    "long it rang.",
                    "escalation",
                    "transfer",
                    "voice.transfer.result=returned",
                    width=12,
                ),
                found_traces(
                    "Hand-overs",
                    "The latest ones.",
                    "escalation",
                    "transfer",
                    "",
                    width=12,
                ),
            ),
        ),
    ),
)
