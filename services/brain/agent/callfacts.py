"""What an agent's prompt may say of the call: `{{ call.caller_number }}`, `{{ call.diverted_from }}` …"""

from __future__ import annotations

import re
from typing import Any

from tandem.v1.call_pb2 import CALL_DIRECTION_OUTBOUND, CallFacts

_LONGEST = 200


def call_variables(facts: CallFacts) -> dict[str, Any]:
    """Texts, empty where nothing is known. They come from the network: one line each, and short.

    `diverted_from` is whom the caller dialled before the call was diverted here; `user_to_user` what the other system
    sent along (RFC 7433), joined by spaces.
    """
    diverted = facts.diversions[-1] if facts.diversions else None
    return {
        "caller_number": _line(facts.caller_number),
        "caller_name": _line(facts.caller_name),
        "called_number": _line(facts.called_number),
        "trunk": _line(facts.trunk),
        "outbound": facts.direction == CALL_DIRECTION_OUTBOUND,
        "diverted_from": "" if diverted is None else _line(diverted.number),
        "diverted_because": "" if diverted is None else _line(diverted.reason),
        "user_to_user": _line(" ".join(one.data.decode("utf-8", "replace") for one in facts.user_to_user)),
    }


def _line(text: str) -> str:
    """A header must not bring lines, and so sections, of its own into a prompt."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())[:_LONGEST]
