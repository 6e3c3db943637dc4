"""What an agent's prompt may say of the call: `{{ call.caller_number }}`, `{{ call.diverted_from }}` …"""

from __future__ import annotations

from typing import Any

from services.brain.guardrails.hygiene import header_text
from tandem.v1.call_pb2 import CALL_DIRECTION_OUTBOUND, CallFacts


def call_variables(facts: CallFacts) -> dict[str, Any]:
    """Texts, empty where nothing is known. They come from the network: one line each, short and inert.

    `diverted_from` is whom the caller dialled before the call was diverted here; `user_to_user` what the other system
    sent along (RFC 7433), joined by spaces.
    """
    diverted = facts.diversions[-1] if facts.diversions else None
    return {
        "caller_number": header_text(facts.caller_number),
        "caller_name": header_text(facts.caller_name),
        "called_number": header_text(facts.called_number),
        "trunk": header_text(facts.trunk),
        "outbound": facts.direction == CALL_DIRECTION_OUTBOUND,
        "diverted_from": "" if diverted is None else header_text(diverted.number),
        "diverted_because": "" if diverted is None else header_text(diverted.reason),
        "user_to_user": header_text(" ".join(one.data.decode("utf-8", "replace") for one in facts.user_to_user)),
    }
