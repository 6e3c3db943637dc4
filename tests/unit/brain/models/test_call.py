"""Tool calls as servers stream them."""

from types import SimpleNamespace
from typing import Any

from services.brain.models.call import GatheredCalls


def gathered(*pieces: tuple[int, str, str, str]) -> list[tuple[str, str, str]]:
    """Of pieces (index, id, name, arguments)."""
    found = GatheredCalls()
    for index, ident, name, arguments in pieces:
        function: Any = SimpleNamespace(name=name or None, arguments=arguments)
        found.add(SimpleNamespace(index=index, id=ident or None, function=function))
    return [(one.id, one.name, one.arguments) for one in found.calls()]


def test_pieces_that_come_mixed() -> None:
    pieces = [(1, "b", "look", ""), (0, "a", "book", '{"at"'), (1, "", "", "{}"), (0, "", "", ": 9}")]
    assert gathered(*pieces) == [("a", "book", '{"at": 9}'), ("b", "look", "{}")]


def test_a_server_that_numbers_every_call_zero() -> None:
    assert gathered((0, "a", "look", '{"day": 1}'), (0, "b", "look", '{"day": 2}')) == [
        ("a", "look", '{"day": 1}'),
        ("b", "look", '{"day": 2}'),
    ]


def test_a_server_that_tells_id_and_name_with_every_piece() -> None:
    assert gathered((0, "a", "look", '{"day"'), (0, "a", "look", ": 1}")) == [("a", "look", '{"day": 1}')]


def test_each_call_has_an_id_of_its_own() -> None:
    first, second, third = gathered((0, "a", "look", "{}"), (1, "a", "book", "{}"), (2, "", "cancel", "{}"))
    assert first[0] == "a"
    assert len({first[0], second[0], third[0]}) == 3
