"""All labels of metrics. A label has few values, known from the settings or the code."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Label:
    """`values` are all that it may be, whichever metric has it; none where the settings decide."""

    name: str
    brief: str
    values: tuple[str, ...] = ()


LABELS: Final = {
    one.name: one
    for one in (
        Label("trunk", "The trunk's name in the settings; `local` where none is set."),
        Label("direction", "Who began the call; of SIP responses, who sent them.", ("inbound", "outbound")),
        Label("reason", "Why; of each metric its own words, see docs/operations/metrics.md."),
        Label("codec", "The encoding on RTP.", ("pcmu", "pcma", "g722", "opus", "other")),
        Label(
            "method",
            "The SIP request's method; `other` for what only strangers send.",
            (
                "INVITE",
                "CANCEL",
                "BYE",
                "OPTIONS",
                "PRACK",
                "UPDATE",
                "INFO",
                "MESSAGE",
                "REFER",
                "NOTIFY",
                "REGISTER",
                "other",
            ),
        ),
        Label("class", "Of the SIP status.", ("1xx", "2xx", "3xx", "4xx", "5xx", "6xx")),
        Label("action", "What the lease did.", ("asked another", "taken over", "fall-back")),
        Label("agent", "The agent's name, of its folder."),
        Label(
            "outcome",
            "What became of a turn; `unasked`: the agent spoke by itself, `unanswered`: the call ended first.",
            ("answered", "interrupted", "ignored", "amended", "failed", "unasked", "unanswered"),
        ),
        Label(
            "part",
            "A part of a turn's latency at the ear.",
            ("endpointing", "asr", "first_token", "tool", "first_audio", "playout", "transport"),
        ),
        Label("decision", "Of the second stage of a barge-in.", ("confirmed", "rejected")),
        Label(
            "profile",
            "What the agent did when the caller spoke: the patience in force.",
            ("greeting", "speaking", "thinking", "collecting_digits", "legal_text", "transferring"),
        ),
        Label("result", "What came of it; of each metric its own words, which are told with it."),
        Label("deployment", "A model's id in the agents' files."),
        Label(
            "kind",
            "Of tokens, or of the recogniser's passes.",
            ("input", "output", "cached", "final", "partial"),
        ),
        Label("tool", "A tool's name in tools.yaml."),
        Label("system", "What a tool calls: a bulkhead's name, and so a host unless one was given."),
        Label("code", "Of a tool call: `ok`, a failure code, or `refused` for every code of the system's own."),
        Label("model", "The recogniser's model, or the provider's name."),
        Label("engine", "The engine that speaks."),
        Label("from_cache", "Whether it was said before, and kept.", ("yes", "no")),
    )
}
"""All by name."""
