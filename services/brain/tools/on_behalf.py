"""Whose call it is for which a tool runs: known to a Python function that asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from services.brain.agent.callfacts import call_variables
from tandem.v1.call_pb2 import CallFacts

_facts: ContextVar[CallFacts | None] = ContextVar("call_facts", default=None)


@contextmanager
def on_behalf_of(facts: CallFacts) -> Iterator[None]:
    """Tools called within, and in tasks begun within, run for this call."""
    token = _facts.set(facts)
    try:
        yield
    finally:
        _facts.reset(token)


def caller() -> dict[str, Any]:
    """What a prompt may say of the call (`caller_number`, `trunk` …; see callfacts.py), and its `call_id`."""
    facts = _facts.get() or CallFacts()
    return {**call_variables(facts), "call_id": facts.call_id}
