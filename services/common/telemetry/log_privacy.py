"""What lines of log may not tell: words of people, digits they pressed, their numbers. Pure."""

import re
from collections.abc import MutableMapping
from typing import Any, Final

HIDDEN: Final = "(not recorded)"

# fmt: off
WORDS: Final = frozenset((
    "text", "caller_text", "agent_text", "transcript", "said", "heard_text", "words", "sentence", "prompt", "question",
    "answer", "summary", "message", "digits", "dtmf", "pressed", "arguments", "args", "slots", "name", "caller_name",
    "first_name", "last_name", "email", "date_of_birth",
))
"""Keys whose value is left out, unless `record_pii` is on. In code of the services no line has one: a test looks."""

NUMBERS: Final = frozenset((
    "number", "caller", "caller_number", "called", "called_number", "from_number", "to", "target", "destination", "uri",
    "contact", "phone", "peer_uri",
))
# fmt: on
"""Keys whose value may be a person's number: of seven digits or more in a row, all but the last three are hidden."""

# As dialled, written with separators, or in a SIP or tel URI; an IP address has no such row.
_ROW = re.compile(r"\+?\d(?:[ ()/-]{0,2}\d){6,}")


def masked(value: str) -> str:
    """`sip:+49301234567@example.com` becomes `sip:…567@example.com`."""
    return _ROW.sub(lambda row: "…" + re.sub(r"\D", "", row[0])[-3:], value)


def without_people(event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line's keys and values, changed in place."""
    for key, value in event.items():
        if key in WORDS:
            event[key] = HIDDEN
        elif key in NUMBERS and isinstance(value, str):
            event[key] = masked(value)
    return event
