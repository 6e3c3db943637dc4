"""A brain's conversations and turns. What is observed with a trace has its exemplar."""

from services.common.telemetry.schema.metric import Metric

_AGENT = ("agent",)
# The marks are 0.5 s at the median and 0.9 s at p95; beyond 2 s people say "hello?".
_EAR_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)
_PART_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)
_UNEXPLAINED_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_BARGE_IN_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0)

TURN_LATENCY = Metric(
    "tandem_brain_turn_latency_seconds",
    "histogram",
    "At the caller's ear: from the last sample of speech in on RTP to the first of the answer out on RTP.",
    _AGENT,
    _EAR_S,
)
TURN_PART = Metric(
    "tandem_brain_turn_part_seconds", "histogram", "The parts of that latency; they add up to it.", ("part",), _PART_S
)
TURN_UNEXPLAINED = Metric(
    "tandem_brain_turn_unexplained_seconds",
    "histogram",
    "What the parts leave over, without its sign: a defect above 0.02.",
    (),
    _UNEXPLAINED_S,
)
TURNS = Metric("tandem_brain_turns_total", "counter", "Turns by what became of them.", ("agent", "outcome"))
FALSE_CUT_OFFS = Metric(
    "tandem_brain_false_cut_offs_total",
    "counter",
    "Turns whose end was taken too early: the caller went on with words before they could have heard the answer (up to "
    "0.25 s into it).",
    _AGENT,
)
BARGE_INS = Metric(
    "tandem_brain_barge_ins_total",
    "counter",
    "Times that the caller spoke while it was the agent's turn, by the decision.",
    ("profile", "decision"),
)
BARGE_IN = Metric(
    "tandem_brain_barge_in_seconds",
    "histogram",
    "From the caller's first sample to that decision.",
    ("decision",),
    _BARGE_IN_S,
)
SPECULATIONS = Metric(
    "tandem_brain_speculations_total",
    "counter",
    "Answers begun before the turn was surely over: released or discarded.",
    ("result",),
)
CONVERSATIONS = Metric("tandem_brain_conversations", "gauge", "Conversations that live now.")
CONVERSATIONS_BEGUN = Metric(
    "tandem_brain_conversations_begun_total",
    "counter",
    "Conversations begun: new, taken over from another brain, refused.",
    ("result",),
)
JOURNAL_WRITES = Metric(
    "tandem_brain_journal_writes_total",
    "counter",
    "Writes of journals: done, repeated, fenced (another brain has the call), given up.",
    ("result",),
)
ESCALATIONS = Metric(
    "tandem_brain_escalations_total",
    "counter",
    "Hand-overs to people that the conversation asked for: transferred, returned, call gone, failed.",
    ("agent", "result"),
)
METRICS = (
    TURN_LATENCY,
    TURN_PART,
    TURN_UNEXPLAINED,
    TURNS,
    FALSE_CUT_OFFS,
    BARGE_INS,
    BARGE_IN,
    SPECULATIONS,
    CONVERSATIONS,
    CONVERSATIONS_BEGUN,
    JOURNAL_WRITES,
    ESCALATIONS,
)
