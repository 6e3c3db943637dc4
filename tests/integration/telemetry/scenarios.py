"""The calls that are made, and the edges that each one's trace must have."""

from dataclasses import dataclass, replace
from typing import Any

import yaml

from evals.chatserver import Answer
from tests.integration.telemetry.hops import Hop

PLAIN, LONG, STALLED, QUICK = "plain", "long", "stalled", "quick"
# The caller's: that of people would end calls on a busy machine.
PATIENCE_S = 30
_LONG = (
    "We open at eight in the morning and close at six in the evening, and on Saturday we open at nine and close at "
    "one in the afternoon. On Sunday and on public holidays the practice stays closed for everybody."
)


def answer(body: dict[str, Any]) -> Answer:
    """The chat server's: by the model that is asked."""
    if body["model"] == STALLED:
        return Answer(silent=True)
    asked = sum(message["role"] == "user" for message in body["messages"])
    text = _LONG if body["model"] == LONG and asked == 1 else "We are open until five."
    return Answer([f"{word} " for word in text.split()])


def agent_folders(chat_url: str) -> dict[str, dict[str, str]]:
    """Agents with models, besides the front desk with its script: name to file to text."""
    options = {"api_base": chat_url, "api_key": "none"}
    agents: dict[str, dict[str, Any]] = {
        "plain": {"model": f"openai/{PLAIN}", "model_options": options},
        "talkative": {"model": f"openai/{LONG}", "model_options": options},
        "hedged": {
            "models": [
                {"model": f"openai/{STALLED}", "options": options, "hedge_within_ms": 300},
                {"model": f"openai/{QUICK}", "options": options},
            ]
        },
    }
    shared = {"language": "en", "greeting": "Hello, the practice.", "prompts": {"system": "system.md"}}
    return {
        name: {"agent.yaml": yaml.safe_dump({"name": name, **shared, **own}), "system.md": "Be brief."}
        for name, own in agents.items()
    }


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script of the simulated caller's (evals/caller/dialogue.py) and the edges of its trace, of `edges.edges`."""

    name: str
    agent: str
    script: dict[str, Any]
    wanted: frozenset[str]


def _scenario(name: str, agent: str, turns: list[dict[str, Any]], *wanted: frozenset[str], **more: Any) -> Scenario:
    return Scenario(name, agent, {"patience_s": PATIENCE_S, **more, "turns": turns}, frozenset().union(*wanted))


def _edges(text: str) -> frozenset[str]:
    return frozenset(line.strip() for line in text.strip().splitlines())


CALL = _edges("""
    gateway:call.setup > brain:conversation.start
    gateway:call.setup > gateway:call.hangup
    brain:conversation.start > asr:asr.listen
""")
GREETING = _edges("""
    gateway:call.setup > brain:turn
    brain:turn > tts:tts.utterance
    brain:turn > gateway:rtp.playout
""")
HEARD = _edges("""
    gateway:call.setup > brain:turn
    brain:turn > asr:asr.final
    brain:turn > brain:voice.endpointing
""")
SPOKEN = _edges("""
    brain:turn > tts:tts.utterance
    tts:tts.utterance > tts:tts.clause
    brain:turn > gateway:rtp.playout
""")
BY_SCRIPT = _edges("brain:turn > brain:chat tandem/script")
BARGE_IN = _edges("""
    brain:turn > brain:voice.barge_in
    brain:turn > asr:asr.partial
    brain:turn > brain:chat openai/long
""")
HAND_OVER = _edges("""
    brain:turn > escalation:transfer
    escalation:transfer > escalation:transfer.leg
    escalation:transfer > escalation:transfer.ticket
    escalation:transfer.leg > gateway:sip.refer
""")
TAKEN_OVER = _edges("""
    gateway:call.setup > gateway:call.recovery
    gateway:call.recovery > brain:conversation.start
    brain:conversation.start > asr:asr.listen
""")

TWO_TRIES = _edges("""
    brain:turn > brain:chat openai/stalled
    brain:turn > brain:chat openai/quick
""")

ASK = {"say": "hours"}
BYE = {"hang_up": True}
OVER_THE_AGENT = {"interrupt_after_ms": 1500}

SIMPLE = _scenario(
    "simple", "plain", [ASK, BYE], CALL, GREETING, HEARD, SPOKEN, _edges("brain:turn > brain:chat openai/plain")
)
INTERRUPTED = _scenario(
    "interrupted",
    "talkative",
    [ASK, {"say": "interrupt", **OVER_THE_AGENT}, BYE],
    CALL, HEARD, SPOKEN, BARGE_IN,
)  # fmt: skip
REJECTED = _scenario(
    "rejected",
    "talkative",
    [ASK, {"say": "mmhm", **OVER_THE_AGENT}, {"hang_up": True, "gap_ms": 4000}],
    CALL, HEARD, SPOKEN, BARGE_IN,
)  # fmt: skip
TOOL = _scenario(
    "tool",
    "front_desk",
    [ASK, BYE],
    CALL, HEARD, SPOKEN, BY_SCRIPT, _edges("brain:turn > brain:execute_tool get_hours"),
)  # fmt: skip
HEDGE = _scenario(
    "hedge",
    "hedged",
    [ASK, BYE],
    CALL, HEARD, SPOKEN, TWO_TRIES,
)  # fmt: skip
TRANSFER = _scenario(
    "transfer",
    "front_desk",
    [{"say": "person"}],
    CALL, HEARD, SPOKEN, BY_SCRIPT, HAND_OVER,
    linger_s=15,
    transfer={"notify": [100, 180, 200], "every_ms": 300},
)  # fmt: skip
CUT = replace(TRANSFER, name="cut")
SCENARIOS = (SIMPLE, INTERRUPTED, REJECTED, TOOL, HEDGE, TRANSFER)

NAMED = _scenario("named", "front_desk", [{"say": "book_full"}, BYE], CALL, HEARD, SPOKEN, BY_SCRIPT)
KILLED = _scenario("killed", "plain", [ASK, ASK, ASK, BYE], CALL, GREETING, HEARD, SPOKEN, TAKEN_OVER)

LOST_WITHOUT: dict[Hop, frozenset[str]] = {
    # Everything but what the gateway does by itself is then in another trace.
    Hop.CONVERSATION: CUT.wanted - _edges("gateway:call.setup > gateway:call.hangup"),
    Hop.LISTENING: _edges("brain:conversation.start > asr:asr.listen"),
    Hop.TURN: _edges("brain:turn > asr:asr.final"),
    Hop.SPEAKING: _edges("""
        brain:turn > tts:tts.utterance
        tts:tts.utterance > tts:tts.clause
    """),
    Hop.PLAYING: _edges("brain:turn > gateway:rtp.playout"),
    Hop.HAND_OVER: HAND_OVER,
    Hop.REFERRING: _edges("escalation:transfer.leg > gateway:sip.refer"),
}
"""What is missing of the hand-over's edges when the context is dropped at a hop, and nothing else."""
