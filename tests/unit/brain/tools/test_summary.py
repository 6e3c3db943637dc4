"""Results too big for speech: in their own shape, within every limit, and what is left out is said."""

# ruff: noqa: E501 -- the cuts are a table

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.tools.declaration import ResultLimits
from services.brain.tools.summary import shorten

LIMITS = ResultLimits()
SLOTS = {
    "slots": [{"start": f"day {day}", "room": {"name": "A", "floor": day}, "price": day} for day in range(12)],
    "page": {"next": "/slots?page=2"},
}


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "short", [], {}, [1, [2, {"a": None}]], {"id": 1, "more": []}])
def test_what_is_short_stays_as_it_is(value: Any) -> None:
    assert shorten(value, LIMITS) == (value, ())


@pytest.mark.parametrize(
    ("value", "limits", "short", "left_out"),
    [
        (list(range(12)), {"items": 3}, [0, 1, 2], ("9 of 12 items",)),
        ({"a": {"b": [1, 2]}}, {"items": 1}, {"a": {"b": [1]}}, ("a.b: 1 of 2 items",)),
        (
            "It is open. It closes at five. Then it is closed for the night.",
            {"characters": 35},
            "It is open. It closes at five.",
            ("text after its first 35 characters",),
        ),
        ("one two three four five six", {"characters": 20}, "one two three four…", ("text after its first 20 characters",)),
        ("x" * 30, {"characters": 20}, "x" * 20 + "…", ("text after its first 20 characters",)),
        ({"a": {"b": {"c": 1}}, "d": 2}, {"depth": 2}, {"a": {"b": None}, "d": 2}, ("a.b: what is inside",)),
        (SLOTS, {"keep": ["start"], "items": 1}, {"slots": [{"start": "day 0"}]}, ("slots: 11 of 12 items",)),
        ({"room": {"name": "A"}, "name": "x"}, {"keep": ["room.name"]}, {"room": {"name": "A"}}, ()),
        ({"room": {"name": "A"}, "id": 1}, {"keep": ["room"]}, {"room": {"name": "A"}}, ()),
        ({"slots": [], "page": 1}, {"keep": ["start"]}, {"slots": []}, ()),
        ({"error": "none"}, {"keep": ["start"]}, {"error": "none"}, ()),
    ],
)  # fmt: skip
def test_it_is_cut_by_rule(value: Any, limits: dict[str, Any], short: Any, left_out: tuple[str, ...]) -> None:
    assert shorten(value, ResultLimits.model_validate(limits)) == (short, left_out)


def test_a_record_too_big_loses_items_first_and_then_text() -> None:
    value = {"notes": [{"text": "Word. " * 90} for _ in range(10)]}
    short, left_out = shorten(value, LIMITS)
    assert len(json.dumps(short)) <= LIMITS.max_bytes
    assert len(short["notes"]) == 5
    assert left_out == ("notes: 5 of 10 items", "notes.text: text after its first 300 characters")


def test_when_nothing_else_helps_the_first_fields_are_kept() -> None:
    short, left_out = shorten({f"field{number}": number for number in range(1000)}, ResultLimits(max_bytes=200))
    assert list(short)[:2] == ["field0", "field1"]
    assert len(json.dumps(short)) <= 200
    assert left_out == (f"{1000 - len(short)} of 1000 fields: too big",)


def test_what_is_left_out_does_not_become_long_itself() -> None:
    value = {f"list{number}": [1, 2] for number in range(30)}
    _, left_out = shorten(value, ResultLimits(items=1))
    assert len(left_out) == 9
    assert left_out[-1] == "and more in 22 other places"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=15) | st.dictionaries(st.text(max_size=12), inner, max_size=15),
    max_leaves=80,
)


@given(
    _JSON,
    st.builds(
        ResultLimits,
        items=st.integers(1, 5),
        characters=st.integers(20, 60),
        depth=st.integers(1, 4),
        max_bytes=st.integers(200, 600),
        keep=st.sampled_from([(), ("a",), ("a.b", "c")]),
    ),
)
def test_whatever_comes_is_within_all_limits(value: Any, limits: ResultLimits) -> None:
    short, left_out = shorten(value, limits)
    assert len(json.dumps(short, ensure_ascii=False).encode("utf-8", "replace")) <= limits.max_bytes
    assert sum(map(len, left_out)) < 2000
    assert shorten(value, limits) == (short, left_out)
