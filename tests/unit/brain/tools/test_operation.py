"""Where each argument goes, and what can't go there."""

from typing import Any

import pytest

from services.brain.tools.operation import Argument, ArgumentUnfit, Operation

FIND = Operation(
    "GET",
    "https://user:word@crm.example:8443/v1/people/{person-id}",
    (
        Argument("person_id", "path", "person-id"),
        Argument("tags", "query", "tags[]"),
        Argument("fields", "query", "fields", explode=False),
        Argument("trace", "header", "X-Trace"),
    ),
)


def test_each_argument_goes_to_its_place() -> None:
    given = {"person_id": "a b/c", "tags": ["x", "y"], "fields": ["name", "id"], "trace": 7, "other": True}
    request = FIND.request(given)
    assert request.url == "https://user:word@crm.example:8443/v1/people/a%20b%2Fc"
    assert request.query == (("tags[]", "x"), ("tags[]", "y"), ("fields", "name,id"), ("other", "true"))
    assert request.headers == {"X-Trace": "7"}
    assert (request.has_body, request.json) == (False, None)
    assert FIND.host == "crm.example:8443"


def test_what_is_not_given_is_not_sent() -> None:
    request = FIND.request({"person_id": 1, "tags": None, "trace": None})
    assert (request.query, dict(request.headers)) == ((), {})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"person_id": ".."},
        {"person_id": ""},
        {"person_id": 1, "trace": "a\r\nb"},
        {"person_id": 1, "trace": "ä"},
    ],
)
def test_what_can_not_go_there_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentUnfit):
        FIND.request(arguments)


def test_a_delete_may_have_a_body_where_an_argument_says_so() -> None:
    remove = Operation("DELETE", "http://crm/people", (Argument("reason", "body", "why"),))
    assert remove.request({"reason": "moved"}).json == {"why": "moved"}
    assert not Operation("DELETE", "http://crm/people").has_body
    assert Operation("POST", "http://crm/people").request({}).json == {}
