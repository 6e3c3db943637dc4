"""Telephone numbers as keys."""

from tandem.v1.call_pb2 import CallDirection, CallFacts

_NOBODY = {"", "anonymous", "unknown", "restricted", "private", "unavailable", "withheld"}


def plain_number(number: str) -> str:
    """A number without what people put between digits; other text (a user's name) in lower case."""
    return "".join(one for one in number if one not in " \t-./()").lower()


def withheld(number: str) -> bool:
    """Whether it says nothing of who called: two such calls have nothing to do with each other."""
    return plain_number(number) in _NOBODY


def person_number(facts: CallFacts) -> str:
    """The number at the other end: in a call that we placed that is the called one."""
    return facts.called_number if facts.direction == CallDirection.CALL_DIRECTION_OUTBOUND else facts.caller_number


def own_number(facts: CallFacts) -> str:
    return facts.caller_number if facts.direction == CallDirection.CALL_DIRECTION_OUTBOUND else facts.called_number
