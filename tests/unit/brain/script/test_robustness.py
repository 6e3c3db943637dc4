"""Whatever callers say and tools answer, the dialogue answers, in its own words."""

import json
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.brain.script.provider import ScriptedAgent

NOW = datetime(2026, 11, 23, 9, 0)
PHRASES = (
    *("I'd like to book an appointment", "Tuesday at ten", "Maria Lopez", "555 0142 789", "555 01", "yes", "no"),
    *("move my appointment to Friday", "cancel it please", "are you open on Saturday", "what do you have tomorrow"),
    *("the second one", "the phone number", "try again", "never mind", "a person please", "what did you say", "thanks"),
    *("hello", "blah blah blah", "", "...", "no, Thursday", "half past three", "the name is wrong", "bye", "two"),
)
RESULTS: tuple[dict[str, Any], ...] = (
    {"ok": True, "value": {"start": "2026-11-24T10:00:00", "slots": ["2026-11-24T10:00:00"], "asked": None}},
    {"ok": True, "value": {"appointments": [{"id": 1, "start": "2026-11-24T10:00:00"}]}},
    {"ok": True, "value": {"appointments": [{"id": n, "start": f"2026-11-2{n}T10:00:00"} for n in (4, 5)]}},
    {"ok": True, "value": {"appointments": [{"id": 1}], "slots": ["soon"], "start": 7}},
    {"ok": True, "value": None},
    {"ok": True, "value": ["what"]},
    {"ok": False, "code": "slot_taken", "value": {"error": {"alternatives": ["2026-11-24T11:00:00"]}}},
    {"ok": False, "code": "slot_taken", "value": None},
    {"ok": False, "code": "outside_hours", "value": {"error": {}}},
    {"ok": False, "code": "unreachable", "value": None},
    {},
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PHRASES) | st.text(max_size=30), st.sampled_from(RESULTS)), max_size=25))
def test_no_conversation_breaks_it(scripted: ScriptedAgent, turns: list[tuple[str, dict[str, Any]]]) -> None:
    dialogue = scripted.dialogue(NOW)
    repeated, before, misses = 0, "", 0
    for text, result in turns:
        answer = dialogue.hear(text)
        assert answer.text or answer.call
        for _ in range(5):
            if answer.call is None:
                break
            json.dumps(answer.call.arguments)
            answer = dialogue.tool_finished(answer.call.name, result)
        assert answer.call is None
        repair = answer.text.startswith(("Sorry, I didn't", "I'm still not", "I'm afraid I still"))
        # "What did you say?" may have a repair said again; not understanding may not.
        repeated = repeated + (dialogue.misses > misses) if repair and answer.text == before else 0
        assert repeated < 2
        before, misses = answer.text, dialogue.misses
