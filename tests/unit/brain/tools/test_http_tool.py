"""HTTP tools: where arguments go, and that whatever the other side does comes to a result."""

import gzip
import json
from typing import Any

import httpx
import pytest

from services.brain.tools.declaration import HttpDeclaration
from services.brain.tools.http_tool import MAX_BODY_BYTES, HttpTool
from services.brain.tools.result import ToolResult

BOOK = HttpDeclaration(
    name="book",
    description="Book.",
    method="POST",
    url="http://clinic/appointments",
    side_effect=True,
    parameters={
        "type": "object",
        "properties": {"name": {"type": "string"}, "day": {"type": "integer"}},
        "required": ["name"],
        "additionalProperties": False,
    },
)
MOVE = BOOK.model_copy(update={"name": "move", "method": "PATCH", "url": "http://clinic/appointments/{day}/{name}"})
LOOK = BOOK.model_copy(update={"name": "look", "method": "GET", "side_effect": False})


class Clinic:
    """The other side: answers in turn, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def attempt(declaration: HttpDeclaration, clinic: Clinic, arguments: dict[str, Any], key: str = "") -> ToolResult:
    async with httpx.AsyncClient(transport=httpx.MockTransport(clinic)) as client:
        return await HttpTool(declaration, client).attempt(arguments, key, 1.0)


async def test_a_booking() -> None:
    clinic = Clinic(httpx.Response(201, json={"id": 1}))
    result = await attempt(BOOK, clinic, {"name": "Jo"}, "key-1")
    assert (result.ok, result.value, result.status) == (True, {"id": 1}, 201)
    assert json.loads(result.content()) == {"ok": True, "value": {"id": 1}}
    request = clinic.requests[0]
    assert (request.method, json.loads(request.content)) == ("POST", {"name": "Jo"})
    assert request.headers["Idempotency-Key"] == "key-1"
    assert request.headers["Content-Type"] == "application/json"


async def test_arguments_go_into_the_url_and_the_query() -> None:
    clinic = Clinic(httpx.Response(200, json={}), httpx.Response(200, json={}), httpx.Response(200, json={}))
    await attempt(MOVE, clinic, {"name": "a/../b?c", "day": 3}, "k")
    assert clinic.requests[0].url.raw_path == b"/appointments/3/a%2F..%2Fb%3Fc"
    await attempt(LOOK, clinic, {"name": "Jo & Co"}, "k")
    assert clinic.requests[1].url.params["name"] == "Jo & Co"
    assert "Idempotency-Key" not in clinic.requests[1].headers
    assert "Content-Type" not in clinic.requests[1].headers
    with_query = LOOK.model_copy(update={"url": "http://clinic/slots?clinic=3"})
    await attempt(with_query, clinic, {"name": "Jo", "day": None})
    assert clinic.requests[2].url.query == b"clinic=3&name=Jo"


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_an_argument_does_not_lead_to_another_resource(name: str) -> None:
    clinic = Clinic()
    result = await attempt(MOVE, clinic, {"name": name, "day": 3}, "k")
    assert (result.code, result.unsure, clinic.requests) == ("invalid_arguments", False, [])


@pytest.mark.parametrize(
    ("answer", "code", "unsure"),
    [
        (httpx.ConnectError("refused"), "unreachable", False),
        (httpx.ConnectTimeout("slow"), "unreachable", False),
        (httpx.RemoteProtocolError("closed"), "unreachable", True),
        (httpx.ReadTimeout("slow"), "timeout", True),
        (httpx.PoolTimeout("full"), "busy", False),
        (httpx.Response(503), "server_error", True),
        (httpx.Response(429), "busy", False),
        (httpx.Response(200, text="<html>"), "malformed", True),
        (httpx.Response(200, text="[" * 50_000), "malformed", True),
        (httpx.Response(200, text='{"price": NaN}'), "malformed", True),
        (httpx.Response(200, text="9" * 5000), "malformed", True),
        (httpx.Response(200, content=b"\xff\xfe\x00\xd8"), "malformed", True),
        (httpx.Response(200, content=b" " * (MAX_BODY_BYTES + 1)), "too_big", True),
        (httpx.Response(404, text="nope"), "refused", False),
        (httpx.Response(404, content=b" " * (MAX_BODY_BYTES + 1)), "refused", False),
        (httpx.Response(500, content=b" " * (MAX_BODY_BYTES + 1)), "server_error", True),
        (httpx.Response(409, json={"error": {"code": "slot_taken", "message": "taken"}}), "slot_taken", False),
        (httpx.Response(400, json={"error": "no"}), "refused", False),
        (httpx.Response(400, json=[1]), "refused", False),
        (httpx.Response(302, headers={"Location": "http://elsewhere"}), "refused", True),
    ],
)
async def test_every_failure_is_a_result(answer: httpx.Response | Exception, code: str, unsure: bool) -> None:
    result = await attempt(BOOK, Clinic(answer), {"name": "Jo"})
    assert (result.ok, result.code, result.unsure) == (False, code, unsure)
    assert json.loads(result.content())["code"] == code


class _Parts(httpx.AsyncByteStream):
    """A body that comes off the wire, and can be read as it is."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> Any:
        yield self._body


@pytest.mark.parametrize(
    ("encoding", "body", "code"),
    [
        ("gzip", gzip.compress(b'{"id": 1}'), ""),
        ("gzip", gzip.compress(b"[" + b" " * 50_000_000 + b"]"), "too_big"),
        ("gzip", b"no gzip", "malformed"),
        ("br", b"anything", "malformed"),
    ],
)
async def test_a_compressed_body_is_counted_as_it_unfolds(encoding: str, body: bytes, code: str) -> None:
    answer = httpx.Response(200, headers={"Content-Encoding": encoding}, stream=_Parts(body))
    clinic = Clinic(answer)
    result = await attempt(BOOK, clinic, {"name": "Jo"})
    assert result.code == code
    assert clinic.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("text", "seconds"), [("2", 2.0), ("9999", 60.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
async def test_it_is_told_when_to_come_back(text: str, seconds: float | None) -> None:
    result = await attempt(LOOK, Clinic(httpx.Response(503, headers={"Retry-After": text})), {"name": "Jo"})
    assert result.retry_after_s == seconds


async def test_a_refusal_keeps_its_body() -> None:
    body = {"error": {"code": "slot_taken", "message": "taken", "alternatives": ["2026-12-01T10:00:00"]}}
    result = await attempt(BOOK, Clinic(httpx.Response(409, json=body)), {"name": "Jo"}, "k")
    assert (result.value, result.error, result.status) == (body, "taken", 409)


async def test_headers_are_sent_and_shown_nowhere() -> None:
    secret = LOOK.model_validate(
        {
            **LOOK.model_dump(by_alias=True),
            "headers": {"Authorization": "Bearer s3cret"},
            "url": "http://clinic/x?key=s3cret",
        }
    )
    clinic = Clinic(httpx.ConnectError("refused"))
    result = await attempt(secret, clinic, {"name": "Maria"})
    assert clinic.requests[0].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(secret.headers)
    assert result.error == "clinic: refused"
