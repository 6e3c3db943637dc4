"""HTTP tools: nothing that the model or the other side does wrong raises; a side effect is never repeated blindly."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.brain.tools.declaration import ToolDeclaration
from services.brain.tools.http_tool import MAX_BODY_BYTES, HttpTool
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox
from services.common.telemetry import trace

Handler = Callable[[httpx.Request], httpx.Response]

BOOK = ToolDeclaration(
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


async def call(
    declaration: ToolDeclaration, clinic: Handler, arguments: dict[str, object], key: str = ""
) -> ToolResult:
    async with httpx.AsyncClient(transport=httpx.MockTransport(clinic)) as client:
        return await HttpTool(declaration, client, pause=lambda: 0.0).call(arguments, key)


async def test_a_booking() -> None:
    clinic = Clinic(httpx.Response(201, json={"id": 1}))
    result = await call(BOOK, clinic, {"name": "Jo"}, "key-1")
    assert (result.ok, result.value, result.status) == (True, {"id": 1}, 201)
    assert json.loads(result.content()) == {"ok": True, "value": {"id": 1}}
    request = clinic.requests[0]
    assert (request.method, json.loads(request.content)) == ("POST", {"name": "Jo"})
    assert request.headers["Idempotency-Key"] == "key-1"


async def test_arguments_go_into_the_url_and_the_query() -> None:
    clinic = Clinic(httpx.Response(200, json={}), httpx.Response(200, json={}))
    await call(MOVE, clinic, {"name": "a/../b?c", "day": 3}, "k")
    assert clinic.requests[0].url.raw_path == b"/appointments/3/a%2F..%2Fb%3Fc"
    await call(LOOK, clinic, {"name": "Jo & Co"}, "k")
    assert clinic.requests[1].url.params["name"] == "Jo & Co"
    assert "Idempotency-Key" not in clinic.requests[1].headers


@pytest.mark.parametrize("arguments", [{}, {"name": 3}, {"name": "Jo", "more": 1}])
async def test_arguments_outside_the_schema_are_refused_without_a_request(arguments: dict[str, object]) -> None:
    clinic = Clinic()
    result = await call(BOOK, clinic, arguments, "k")
    assert (result.ok, result.code) == (False, "invalid_arguments")
    assert clinic.requests == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.RemoteProtocolError("closed"), "unreachable"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.Response(503), "server_error"),
        (httpx.Response(200, text="<html>"), "malformed"),
        (httpx.Response(200, text="[" * 50_000), "malformed"),
        (httpx.Response(200, content=b" " * (MAX_BODY_BYTES + 1)), "too_big"),
        (httpx.Response(404, text="nope"), "refused"),
        (httpx.Response(409, json={"error": {"code": "slot_taken", "message": "taken"}}), "slot_taken"),
        (httpx.Response(302, headers={"Location": "http://elsewhere"}), "refused"),
    ],
)
async def test_every_failure_is_a_result(answer: httpx.Response | Exception, code: str) -> None:
    result = await call(BOOK, Clinic(answer), {"name": "Jo"})
    assert (result.ok, result.code) == (False, code)
    assert json.loads(result.content())["code"] == code


async def test_a_refusal_keeps_its_body() -> None:
    body = {"error": {"code": "slot_taken", "message": "taken", "alternatives": ["2026-12-01T10:00:00"]}}
    result = await call(BOOK, Clinic(httpx.Response(409, json=body)), {"name": "Jo"}, "k")
    assert (result.value, result.error, result.status) == (body, "taken", 409)


@pytest.mark.parametrize(
    ("declaration", "key", "requests"), [(LOOK, "", 2), (BOOK, "k", 2), (BOOK, "", 1)], ids=["read", "keyed", "unkeyed"]
)
async def test_only_what_is_safe_is_tried_again(declaration: ToolDeclaration, key: str, requests: int) -> None:
    clinic = Clinic(httpx.ConnectError("refused"), httpx.Response(200, json={"id": 1}))
    result = await call(declaration, clinic, {"name": "Jo"}, key)
    assert len(clinic.requests) == requests
    assert result.ok is (requests == 2)
    if key:
        assert {request.headers["Idempotency-Key"] for request in clinic.requests} == {key}


async def test_it_is_tried_again_only_once() -> None:
    clinic = Clinic(httpx.Response(500), httpx.Response(502), httpx.Response(200))
    assert (await call(LOOK, clinic, {"name": "Jo"})).status == 502
    assert len(clinic.requests) == 2


async def test_a_refusal_is_not_tried_again() -> None:
    clinic = Clinic(httpx.Response(422, json={}), httpx.Response(200))
    await call(BOOK, clinic, {"name": "Jo"}, "k")
    assert len(clinic.requests) == 1


async def test_the_deadline_holds_for_all_attempts_together() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    patient = LOOK.model_copy(update={"deadline_ms": 100})
    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as client:
        result = await HttpTool(patient, client).call({"name": "Jo"})
    assert (result.ok, result.code) == (False, "timeout")
    assert result.duration_ms < 1000


async def test_a_span_is_made_and_its_context_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "tracer", lambda: provider.get_tracer("test"))
    clinic = Clinic(httpx.Response(409, json={"error": {"code": "slot_taken"}}))
    await call(BOOK, clinic, {"name": "Maria"}, "k")
    (span,) = exporter.get_finished_spans()
    assert span.name == "execute_tool book"
    assert span.attributes is not None
    assert span.attributes["gen_ai.tool.name"] == "book"
    assert span.attributes["voice.tool.ok"] is False
    assert span.attributes["http.response.status_code"] == 409
    assert "Maria" not in str(dict(span.attributes))
    assert span.context is not None
    assert clinic.requests[0].headers["traceparent"].split("-")[1] == format(span.context.trace_id, "032x")


async def test_the_box_knows_its_tools() -> None:
    box = ToolBox([BOOK, LOOK])
    names = [tool["function"]["name"] for tool in box.openai_tools()]
    assert names == ["book", "look", "transfer_to_person", "end_call"]
    assert "book" in box
    assert "end_call" not in box
    assert (await box.call("sing", {}, "")).code == "unknown_tool"
    await box.aclose()
