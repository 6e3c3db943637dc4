"""One call: its trace, and the latency of answers, whose dots lead to traces."""

from deploy.monitoring.dashboard import Dashboard, Section, choice, text_box
from deploy.monitoring.panels import found_traces, heatmap, lines, query, waterfall
from deploy.monitoring.promql import RATE, buckets, per_minute, quantile, rate, ratio

_EAR = "tandem_brain_turn_latency_seconds"
_AGENT = 'agent=~"$agent"'

CALL = Dashboard(
    name="call",
    title="Tandem: a call",
    description="Paste a call's id to find its trace, or click a dot of a latency panel: each is the trace of a turn.",
    variables=(
        text_box("call", "Call id"),
        text_box("trace", "Trace id"),
        choice("agent", "Agent", f"label_values({_EAR}_count, agent)"),
    ),
    sections=(
        Section(
            "The call",
            (
                found_traces(
                    "Its trace",
                    "The trace of the call whose id is in the box above; its id opens it. `tandem trace CALL_ID` draws "
                    "the same in a terminal, `tandem why CALL_ID TURN` says what made a turn late.",
                    "gateway",
                    "call.setup",
                    'voice.call_id="$call"',
                    width=24,
                    height=5,
                ),
                waterfall(
                    "Waterfall",
                    "The trace whose id is in the box above: set-up, one `turn` for each exchange with its parts below "
                    "it, and the end with the call's quality.",
                    "$trace",
                    width=24,
                    height=18,
                ),
            ),
        ),
        Section(
            "How long callers wait for an answer",
            (
                lines(
                    "At the caller's ear",
                    "From the last sample of speech in on RTP to the first of the answer out. p95 is to stay below "
                    "0.9 s. Each dot is a turn, and leads to its trace.",
                    "s",
                    query(quantile(0.5, _EAR, where=_AGENT), "p50", exemplar=True),
                    query(quantile(0.95, _EAR, where=_AGENT), "p95", exemplar=True),
                    query(quantile(0.99, _EAR, where=_AGENT), "p99"),
                    mark=0.9,
                    width=12,
                ),
                lines(
                    "What it is made of",
                    "The mean of each part; together they are the mean latency. The part that grew is the one to look "
                    "at: endpointing is the decision that the caller has finished, asr the recogniser, first_token the "
                    "model, tool the business system, first_audio the voice, playout and transport the way out.",
                    "s",
                    query(
                        f"sum by (part) (rate(tandem_brain_turn_part_seconds_sum[{RATE}])) "
                        f"/ on () group_left () {rate(f'{_EAR}_count')}",
                        "{{part}}",
                    ),
                    stacked=True,
                    width=12,
                ),
                heatmap("Spread", "How many answers took how long.", "s", buckets(_EAR, _AGENT), width=12),
                lines(
                    "Parts at p95",
                    "The slowest twentieth of each part. They need not be the same turns, and so do not add up.",
                    "s",
                    query(quantile(0.95, "tandem_brain_turn_part_seconds", "part"), "{{part}}", exemplar=True),
                ),
                lines(
                    "Unexplained",
                    "What the parts leave over. Above 20 ms it is a defect of the measuring, and no part can be "
                    "trusted.",
                    "s",
                    query(quantile(0.95, "tandem_brain_turn_unexplained_seconds"), "p95"),
                    mark=0.02,
                    width=4,
                ),
            ),
        ),
        Section(
            "Whose turn it is",
            (
                lines(
                    "Turns",
                    "By what became of them: answered, interrupted by the caller, ignored (a cough), amended (the "
                    "caller went on), failed.",
                    "cpm",
                    query(per_minute("tandem_brain_turns_total", "outcome", where=_AGENT), "{{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "Callers cut off",
                    "The share of answers that began although the caller had merely paused.",
                    "percentunit",
                    query(
                        ratio(
                            rate("tandem_brain_false_cut_offs_total", "agent", where=_AGENT),
                            rate(f"{_EAR}_count", "agent", where=_AGENT),
                        ),
                        "{{agent}}",
                    ),
                    mark=0.1,
                ),
                lines(
                    "Interruptions",
                    "Times that the caller spoke while the agent did: confirmed, the agent stops; rejected, it goes on "
                    '(a cough, an "mm-hm").',
                    "cpm",
                    query(
                        per_minute("tandem_brain_barge_ins_total", "decision", "profile"), "{{decision}} {{profile}}"
                    ),
                    stacked=True,
                ),
                lines(
                    "Interruptions: time to the decision",
                    "From the caller's first sample until it is decided; the agent pauses meanwhile. 0.4 s is to be "
                    "kept at p95.",
                    "s",
                    query(quantile(0.95, "tandem_brain_barge_in_seconds", "decision"), "{{decision}}", exemplar=True),
                    mark=0.4,
                ),
                lines(
                    "Answers begun early",
                    "Begun before the turn was surely over: released, they were the answer; discarded, they cost a "
                    "model call.",
                    "cpm",
                    query(per_minute("tandem_brain_speculations_total", "result"), "{{result}}"),
                    stacked=True,
                ),
            ),
        ),
    ),
)
