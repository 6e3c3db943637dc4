"""The names are a contract: written once, in names.py, and nowhere else in the services."""

import re
from pathlib import Path

from services.common.telemetry import names

SERVICES = Path(names.__file__).parents[2]
LITERAL = re.compile(r'"((?:voice|sip|rtp|gen_ai|http)\.[a-z_.]+)"')


def values() -> list[str]:
    return [value for name, value in vars(names).items() if name.isupper()]


def test_each_name_is_given_once() -> None:
    assert sorted(values()) == sorted(set(values()))


def test_no_service_spells_a_name_itself() -> None:
    found = {
        f"{path.relative_to(SERVICES)}: {literal}"
        for path in SERVICES.rglob("*.py")
        if path.parent.name != "schema"
        for literal in LITERAL.findall(path.read_text())
    }
    assert not found


def test_words_people_said_stand_only_under_pii() -> None:
    text = {value for name, value in vars(names).items() if name.isupper() and name.endswith("_TEXT")}
    assert text
    assert all(".pii." in value for value in text)
