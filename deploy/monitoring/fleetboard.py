"""Everything at a glance: service levels, load, and the processes."""

from deploy.monitoring.dashboard import Dashboard, Section
from deploy.monitoring.levels import LEVELS
from deploy.monitoring.panels import lines, number, query, table
from deploy.monitoring.promql import RATE, per_minute, rate, ratio, total, worst

_OURS = 'job=~"tandem-.+"'
_ANY = ((None, "green"), (1, "red"))

FLEET = Dashboard(
    name="fleet",
    title="Tandem: fleet",
    description="Are callers served, how many are there, and is any process in trouble?",
    since="now-6h",
    sections=(
        Section(
            "Service levels (docs/operations/slo.md)",
            (
                *(
                    number(
                        level.name,
                        f"How fast the last hour used up what may be bad in 30 days; 1 is just enough for 30 days, "
                        f"14.4 wakes somebody. Good are {level.objective:.1%}.",
                        "short",
                        query(f'tandem:slo_bad:ratio_rate1h{{slo="{level.name}"}} / {level.budget:g}', level.name),
                        steps=((None, "green"), (1, "yellow"), (6, "orange"), (14.4, "red")),
                    )
                    for level in LEVELS
                ),
                table(
                    "Alerts",
                    "What fires now. Each has a page in docs/operations/runbooks.",
                    "short",
                    query('ALERTS{alertname=~"Tandem.+", alertstate="firing"}'),
                    hidden=("Value", "__name__", "alertstate"),
                    width=12,
                ),
                lines(
                    "Bad events, of all",
                    "The share of bad events of each level over half an hour.",
                    "percentunit",
                    query("tandem:slo_bad:ratio_rate30m", "{{slo}}"),
                    width=12,
                ),
            ),
        ),
        Section(
            "Calls",
            (
                number("Calls now", "Answered calls that live now.", "short", query(total("tandem_gateway_calls"))),
                number(
                    "Draining",
                    "Gateways that take no new calls because they are to end.",
                    "short",
                    query(total("tandem_gateway_draining")),
                    steps=((None, "green"), (1, "yellow")),
                ),
                lines(
                    "Calls by trunk",
                    "Answered calls that live now.",
                    "short",
                    query(total("tandem_gateway_calls", "trunk", "direction"), "{{trunk}} {{direction}}"),
                    query(worst("tandem_gateway_calls_limit"), "max_calls of a gateway"),
                ),
                lines(
                    "Calls that end",
                    "By what ended them. remote_bye and local_bye are hang-ups; most others are failures.",
                    "cpm",
                    query(per_minute("tandem_gateway_calls_ended_total", "reason"), "{{reason}}"),
                    stacked=True,
                ),
                lines(
                    "Calls refused",
                    "Calls that were not admitted, by why.",
                    "cpm",
                    query(per_minute("tandem_gateway_calls_refused_total", "reason"), "{{reason}}"),
                    stacked=True,
                ),
                lines(
                    "Conversations",
                    "That live in the brains now; less than calls where people talk with people.",
                    "short",
                    query(total("tandem_brain_conversations", "instance"), "{{instance}}"),
                    stacked=True,
                ),
                lines(
                    "Calls taken over",
                    "What the lease did for calls whose brain made no progress, and how their conversations went on.",
                    "cpm",
                    query(per_minute("tandem_gateway_lease_actions_total", "action"), "{{action}}"),
                    query(per_minute("tandem_brain_conversations_begun_total", "result", where='result!="new"')),
                ),
            ),
        ),
        Section(
            "The bus and what is written",
            (
                lines(
                    "Callers' sound that was not published",
                    "The share of 20 ms frames for which NATS was not there.",
                    "percentunit",
                    query(
                        ratio(
                            rate("tandem_gateway_caller_frames_unsent_total"),
                            rate("tandem_gateway_caller_frames_total"),
                        )
                    ),
                ),
                lines(
                    "Journals",
                    "Writes of calls' journals, from which another brain goes on: given up ones are missing then.",
                    "cpm",
                    query(per_minute("tandem_brain_journal_writes_total", "result"), "{{result}}"),
                ),
                lines(
                    "Records",
                    "Events of calls' records; dropped and refused ones are lost.",
                    "cpm",
                    query(per_minute("tandem_brain_record_events_total", "result"), "{{result}}"),
                    query(total("tandem_brain_record_events_waiting"), "waiting now"),
                ),
            ),
        ),
        Section(
            "Processes",
            (
                number(
                    "Down",
                    "Processes that Prometheus can't reach.",
                    "short",
                    query(f"count(up{{{_OURS}}} == 0) or vector(0)"),
                    steps=_ANY,
                ),
                number(
                    "Late ticks",
                    "The share of 20 ms ticks that came more than 5 ms late; above 0.1 % it is heard.",
                    "percentunit",
                    query(
                        ratio(
                            rate("tandem_gateway_ticks_late_total"), rate("tandem_gateway_tick_lateness_seconds_count")
                        )
                    ),
                    steps=((None, "green"), (0.001, "red")),
                ),
                lines(
                    "Processor",
                    "Cores in use. A gateway's or a brain's loop is one core: near 1 it is late.",
                    "short",
                    query(f"rate(process_cpu_seconds_total{{{_OURS}}}[{RATE}])", "{{job}} {{instance}}"),
                ),
                lines(
                    "Memory",
                    "Resident.",
                    "bytes",
                    query(f"process_resident_memory_bytes{{{_OURS}}}", "{{job}} {{instance}}"),
                ),
                lines(
                    "Files and sockets",
                    "Open ones, of those allowed.",
                    "percentunit",
                    query(f"process_open_fds{{{_OURS}}} / process_max_fds{{{_OURS}}}", "{{job}} {{instance}}"),
                ),
                lines(
                    "Spans",
                    "Exported; unsampled (nobody wanted them); dropped and failed ones are gaps in traces.",
                    "cps",
                    query(rate("tandem_telemetry_spans_total", "result"), "{{result}}"),
                    query(total("tandem_telemetry_spans_held"), "held now"),
                ),
                lines(
                    "Log lines held back",
                    "Lines that came too often to be written.",
                    "cpm",
                    query(per_minute("tandem_telemetry_log_lines_suppressed_total", "job"), "{{job}}"),
                ),
            ),
        ),
    ),
)
