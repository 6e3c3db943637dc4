"""The tools every agent has. The conversation carries them out: they act on the call, not on the operator's systems."""

from typing import Any

TRANSFER_TO_PERSON = "transfer_to_person"
END_CALL = "end_call"

BUILT_IN_TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": TRANSFER_TO_PERSON,
            "description": "Put the caller through to a person. Use it when the caller asks for one, or when you "
            "cannot do what the caller wants.",
            "parameters": {
                "type": "object",
                "properties": {
                    "reason": {"type": "string", "description": "Why a person is needed, for that person."},
                    "wish": {"type": "string", "description": "What the caller wants, with all that is known."},
                },
                "required": ["reason"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": END_CALL,
            "description": "Hang up, after saying goodbye. Use it only when the caller has nothing more to ask.",
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        },
    },
)
BUILT_IN_NAMES = frozenset({TRANSFER_TO_PERSON, END_CALL})
