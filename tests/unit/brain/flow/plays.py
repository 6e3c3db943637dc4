"""Conversations with a flow, written down: what goes in ("> ..."), and the outputs in short."""

from datetime import datetime
from typing import Any

import yaml

from services.brain.flow.declaration import FlowDeclaration
from services.brain.flow.flow import Flow
from services.brain.flow.outputs import Aside, CallTool, Done, Failed, Output, Say, Secret, WantsPerson
from services.brain.flow.progress import FlowFacts

# A Monday.
NOW = datetime(2026, 11, 23, 9, 0)
FACTS = FlowFacts(caller_number="+442079460123", side_effects=frozenset({"book", "charge"}))

BOOKING = """
description: A visit.
parameters: {type: object, properties: {day: {type: string}, name: {type: string}, people: {type: integer}}}
steps:
  - collect: {slot: day, kind: date, past: false, ask: "Which day?", confirm: never}
  - collect: {slot: at, kind: time, ask: "What time?", confirm: never}
  - collect: {slot: name, kind: name, ask: "What name?", again: ["First and last name?", "Spell it?"], confirm: never}
  - collect: {slot: phone, kind: phone, ask: "What number?", confirm: always}
  - collect: {slot: people, kind: number, min: 1, max: 8, ask: "How many people?", confirm: never}
  - tool: {name: find, arguments: {day: day, at: at}, save_as: table}
  - collect: {slot: sure, kind: yes_no, ask: "{{ day|day }} at {{ at|time }}, for {{ name }}. Shall I book it?"}
  - when: not sure
    end: {say: "Then not.", failed: declined}
  - tool: {name: book, arguments: {day: day, at: at, name: name, phone: phone, people: people, table: table.id}}
  - end: {say: "Booked."}
"""

ACCOUNT = """
description: Who is it?
steps:
  - collect: {slot: customer, kind: digits, length: 6, ask: "Customer number?", confirm: never}
  - collect: {slot: pin, kind: digits, length: 4, secret: true, ask: "PIN?"}
  - authenticate: {tool: check, arguments: {customer: customer, pin: pin}, attempts: 2, save_as: account}
  - collect: {slot: phone, kind: phone, ask: "New number?", confirm: always}
  - say_in_full: {text: "It is so.", ask: "Do you agree?", slot: agreed}
  - tool: {name: change, arguments: {phone: phone, pin: pin}}
"""

PAYMENT = """
description: A card.
steps:
  - pay: {slot: card, tool: tokenise, arguments: {amount: "12.5"}}
  - tool: {name: charge, arguments: {token: card.token}}
  - say: "Paid with the card ending in {{ card.last_digits }}."
"""

LEGAL = """
description: A text.
steps:
  - say_in_full: {text: "It is so.", refused: not_so}
  - say_in_full: {text: "And so.", ask: "Do you agree?", again: ["Yes or no?"], slot: agreed, refused: not_so}
  - end: {say: "Good."}
  - {name: not_so, end: {say: "A pity.", failed: declined}}
"""


def flow_of(text: str, facts: FlowFacts = FACTS) -> Flow:
    return Flow("test", FlowDeclaration.model_validate(yaml.safe_load(text)), facts)


def one_step(text: str, facts: FlowFacts = FACTS) -> Flow:
    """A flow that collects one slot, of the given kind and bounds."""
    return flow_of("description: One.\nsteps:\n  - collect: {slot: it, ask: 'What?', " + text + "}\n", facts)


def shown(output: Output) -> str:
    match output:
        case Say():
            return output.text
        case CallTool():
            return f"[{output.name} {output.shown}]"
        case Secret():
            return "[secret]" if output.on else "[open]"
        case Aside():
            return f"[aside: {output.text}]"
        case WantsPerson():
            return "[person]"
        case Done():
            return f"[done {output.result['value']}]"
        case Failed():
            return f"[failed {output.reason}]"


def feed(flow: Flow, event: Any) -> list[Output]:
    """One event: words, "#keys", "..." for silence, "(heard)" for a text heard in full, a dict for a tool's result."""
    if isinstance(event, dict):
        return flow.tool_answered(event, NOW)
    if event == "...":
        return flow.silence(NOW)
    if event == "(heard)":
        return flow.said_in_full(NOW)
    if event.startswith("#"):
        return flow.pressed(event[1:], NOW)
    return flow.heard(event, NOW)


def play(flow: Flow, *events: Any) -> list[str]:
    """What the last of `events` led to."""
    outputs: list[Output] = []
    for event in events:
        outputs = feed(flow, event)
    return [shown(one) for one in outputs]


def begun(text: str, *events: Any, **prefilled: Any) -> Flow:
    flow = flow_of(text)
    flow.begin(prefilled, NOW)
    play(flow, *events)
    return flow


def ok(value: Any = None) -> dict[str, Any]:
    return {"ok": True, "value": value}


def failed(code: str = "refused") -> dict[str, Any]:
    return {"ok": False, "code": code, "error": "", "value": None}
