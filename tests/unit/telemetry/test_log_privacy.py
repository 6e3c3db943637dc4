"""No words and no numbers of people in a log."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.telemetry.log_privacy import HIDDEN, WORDS, masked, without_people

SERVICES = Path(__file__).parents[3] / "services"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("sip:+49301234567@example.com", "sip:…567@example.com"),
        ("tel:+1-202-555-0143", "tel:…143"),
        ("030 1234567", "…567"),
        ("+44 (20) 7946 0958", "…958"),
        ("sip:front_desk@203.0.113.10:5060", "sip:front_desk@203.0.113.10:5060"),
        ("203.0.113.10", "203.0.113.10"),
        ("101", "101"),
        ("sales", "sales"),
        ("", ""),
    ],
)
def test_numbers_are_masked(value: str, shown: str) -> None:
    assert masked(value) == shown


def test_known_keys_are_hidden_and_others_left() -> None:
    line = {"event": "turn", "text": "I need an appointment", "digits": ["1"], "to": "+49301234567", "ms": 4000000000}
    assert without_people(line) == {
        "event": "turn",
        "text": HIDDEN,
        "digits": HIDDEN,
        "to": "…567",
        "ms": 4000000000,
    }


def calls_to_a_log(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            owner = ast.unparse(node.func.value).removesuffix("()")
            if owner.rpartition(".")[2].lstrip("_") in ("log", "logger"):
                yield node


def test_no_service_logs_what_people_said() -> None:
    seen, wrong = 0, []
    for file in sorted(SERVICES.rglob("*.py")):
        for call in calls_to_a_log(ast.parse(file.read_text(encoding="utf-8"))):
            seen += 1
            wrong += [
                f"{file.relative_to(SERVICES)}:{call.lineno}: {one.arg}" for one in call.keywords if one.arg in WORDS
            ]
            if call.args and not isinstance(call.args[0], ast.Constant | ast.Name | ast.IfExp | ast.Attribute):
                wrong.append(f"{file.relative_to(SERVICES)}:{call.lineno}: an event is a constant, not made of values")
    assert seen > 100
    assert not wrong
