"""What MCP servers say, as declarations and results; and a failed POST as the answer to its own request."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import McpError
from mcp.types import (
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ErrorData,
    ImageContent,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)
from pydantic import AnyUrl, ValidationError

from services.brain.agent.mcpservers import McpServerSettings, McpToolSettings, call_name, known_names
from services.brain.tools import mcp_http
from services.brain.tools.mcp_answer import failure_of, result_of
from services.brain.tools.mcp_declaration import declaration, declarations
from services.brain.tools.mcp_program import Lines

EMPTY = {"type": "object", "properties": {}}


def listed(name: str, schema: dict[str, Any] | None = None, **hints: bool) -> Tool:
    return Tool(name=name, inputSchema=schema or EMPTY, description="Does it.", annotations=ToolAnnotations(**hints))


def server(**settings: Any) -> McpServerSettings:
    return McpServerSettings.model_validate({"url": "http://clinic.example/mcp", **settings})


@pytest.mark.parametrize(
    ("hints", "settings", "side_effect", "repeatable"),
    [
        ({}, {}, True, False),
        ({"readOnlyHint": False}, {}, True, False),
        ({"readOnlyHint": True}, {}, False, True),
        ({"readOnlyHint": True}, {"side_effect": True}, True, False),
        # Idempotent is not harmless: it must not run on speculation, but may be repeated.
        ({"idempotentHint": True}, {}, True, True),
        ({"destructiveHint": False}, {}, True, False),
        ({}, {"side_effect": False}, False, True),
        ({}, {"idempotent": True}, True, True),
        ({"idempotentHint": True}, {"idempotent": False}, True, False),
    ],
)
def test_a_side_effect_is_what_is_not_said_to_be_none(
    hints: dict[str, bool], settings: dict[str, Any], side_effect: bool, repeatable: bool
) -> None:
    declared = declaration("clinic", listed("book", **hints), McpToolSettings.model_validate(settings), 4000)
    assert (declared.side_effect, declared.may_repeat("key")) == (side_effect, repeatable)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("opening_hours", "opening_hours"),
        ("getOpeningHours", "get_opening_hours"),
        ("get-hours.v2", "get_hours_v2"),
        ("HTTPGet", "httpget"),
        ("2day", "clinic_2day"),
        ("über", "ber"),
        ("_", "clinic"),
        ("x" * 100, "x" * 64),
    ],
)
def test_names_are_made_to_fit(name: str, called: str) -> None:
    assert call_name("clinic", name) == called


def test_the_operator_sets_it_otherwise() -> None:
    tools = {"book": {"rename": "put_down", "description": "Else.", "say_while": "One second.", "deadline_ms": 9000}}
    (declared,), wrong = declarations("clinic", server(tools=tools), [listed("book"), listed("not_chosen")])
    assert wrong == []
    assert (declared.name, declared.description, declared.say_while) == ("put_down", "Else.", "One second.")
    assert (declared.deadline_ms, declared.mcp.server, declared.mcp.tool) == (9000, "clinic", "book")


def test_the_deadline_of_the_server_is_that_of_its_tools() -> None:
    (declared,), _ = declarations("clinic", server(call_timeout_ms=2500), [listed("book")])
    assert declared.deadline_ms == 2500


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ([listed("book", {"type": "array"})], "tool book: expected a JSON schema with `type: object`"),
        ([listed("book", {"type": "object", "properties": 7})], "tool book: not a JSON schema: "),
        (
            [listed("book", {"type": "object", "properties": {"a": {"$ref": "http://evil.example/"}}})],
            "tool book: its schema refers to http://evil.example/, outside of itself",
        ),
        ([listed("book"), listed("Book")], "tool Book: there is already a book; set `rename` for one of them"),
    ],
)
def test_a_tool_that_no_model_could_call_is_left_out_and_told(tools: list[Tool], told: str) -> None:
    found, wrong = declarations("clinic", server(), tools)
    assert len(found) == len(tools) - 1
    assert len(wrong) == 1
    assert wrong[0].startswith(told)


def test_a_tool_that_the_server_does_not_have_is_told() -> None:
    assert declarations("clinic", server(tools=["bok"]), [listed("book")]) == (
        [],
        ["tool bok: the server has none of this name"],
    )


def test_a_schema_without_a_bottom_is_left_out() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(100):
        schema = {"type": "object", "properties": {"a": schema}}
    assert declarations("clinic", server(), [listed("book", schema)])[0] == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "expected either `url`"),
        ({"url": "http://a/mcp", "command": "b"}, "expected either `url`"),
        ({"command": "b", "headers": {"X-Key": "k"}}, "goes with `url` only"),
        ({"url": "http://a/mcp", "env": {"A": "b"}}, "goes with `command` only"),
        ({"url": "ftp://a"}, "should match pattern"),
        ({"url": "http://a", "tools": "some"}, "expected `all`, a list of tool names"),
        ({"url": "http://a", "tools": []}, "expected `all`, a list of tool names"),
        ({"url": "http://a", "tools": {"x": {"rename": "z"}, "y": {"rename": "z"}}}, "another tool is called z too"),
        ({"url": "http://a", "headers": {"X": "a\r\nY: b"}}, "expected one line of ASCII"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        McpServerSettings.model_validate(settings)


def test_names_are_known_before_the_server_is_reached() -> None:
    servers = {"a": server(tools={"bookIt": None, "x": {"rename": "y"}}), "b": server(tools="all")}
    assert known_names(servers) == {"book_it", "y"}


def text(*texts: str) -> list[Any]:
    return [TextContent(type="text", text=one) for one in texts]


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (CallToolResult(content=text("plain")), "plain"),
        (CallToolResult(content=text('{"a": 1}')), {"a": 1}),
        (CallToolResult(content=text("{not json")), "{not json"),
        (CallToolResult(content=text("12")), "12"),
        (CallToolResult(content=text('{"a": 1}', '{"a": 2}')), [{"a": 1}, {"a": 2}]),
        (CallToolResult(content=text("one", "two")), "one\ntwo"),
        (CallToolResult(content=text("text"), structuredContent={"a": 1}), {"a": 1}),
        (CallToolResult(content=[], structuredContent={"result": [1, 2]}), [1, 2]),
        (CallToolResult(content=[]), None),
    ],
)
def test_structure_is_preferred_to_json_and_json_to_text(answer: CallToolResult, value: Any) -> None:
    result = result_of(answer)
    assert (result.ok, result.value, result.left_out) == (True, value, ())


def test_what_cannot_be_told_is_told_to_be_absent() -> None:
    uri = AnyUrl("file:///plan")
    inside = TextResourceContents(uri=uri, text="Turn left.")
    content = [
        ImageContent(type="image", data="AA==", mimeType="image/png"),
        EmbeddedResource(type="resource", resource=inside),
        EmbeddedResource(type="resource", resource=BlobResourceContents(uri=uri, blob="AA==")),
    ]
    result = result_of(CallToolResult(content=content))
    assert result.value == "Turn left."
    assert result.left_out == (
        "an image (image/png), which cannot be told on the phone",
        "a file, which cannot be told on the phone",
    )


@pytest.mark.parametrize(
    ("answer", "code", "error"),
    [
        (CallToolResult(content=text("Full."), isError=True), "refused", "Full."),
        (CallToolResult(content=[], isError=True), "refused", "the tool failed"),
        (CallToolResult(content=text('{"error": {"code": "full", "message": "No."}}'), isError=True), "full", "No."),
        (CallToolResult(content=text('{"error": "No."}'), isError=True), "refused", "No."),
        (CallToolResult(content=text("x" * 2_000_000)), "too_big", "more than 1048576 characters"),
    ],
)
def test_an_error_is_a_refusal(answer: CallToolResult, code: str, error: str) -> None:
    result = result_of(answer)
    assert (result.ok, result.code, result.error) == (False, code, error)


@pytest.mark.parametrize(
    ("number", "code", "unsure"),
    [
        (mcp_http.UNREACHABLE, "unreachable", False),
        (mcp_http.NO_ANSWER, "unreachable", True),
        (mcp_http.SERVER_ERROR, "server_error", True),
        (-32602, "invalid_arguments", False),
        (-32601, "unknown_tool", False),
        (-32603, "failed", True),
    ],
)
def test_protocol_errors_have_our_codes(number: int, code: str, unsure: bool) -> None:
    result = failure_of(McpError(ErrorData(code=number, message="what")))
    assert (result.code, result.error, result.unsure) == (code, "what", unsure)


# A POST that fails is the answer to its own request.


class Parts(httpx.AsyncByteStream):
    """A body in parts, which breaks off where one of them is an error."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part


ASKED = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
NOTICE = {"jsonrpc": "2.0", "method": "notifications/initialized"}
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
BIG = b"x" * (mcp_http.MAX_ANSWER_BYTES + 1)


async def post(answer: Callable[[httpx.Request], httpx.Response], message: dict[str, Any]) -> httpx.Response:
    async with mcp_http.http_client({}, 1, 1, httpx.MockTransport(answer)) as client:
        return await client.post("http://clinic.example/mcp", json=message)


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (raising(httpx.ConnectError("refused")), mcp_http.UNREACHABLE, "ConnectError: refused"),
        (raising(httpx.ConnectTimeout("")), mcp_http.UNREACHABLE, "ConnectTimeout"),
        (raising(httpx.ReadTimeout("")), mcp_http.NO_ANSWER, "ReadTimeout"),
        (raising(httpx.ReadError("cut")), mcp_http.NO_ANSWER, "ReadError: cut"),
        (lambda _: httpx.Response(500), mcp_http.SERVER_ERROR, "HTTP 500"),
        (lambda _: httpx.Response(401), mcp_http.REFUSED, "HTTP 401"),
        (lambda _: httpx.Response(429), mcp_http.BUSY, "HTTP 429"),
        (lambda _: httpx.Response(200, headers=JSON, content=b"{"), mcp_http.SERVER_ERROR, "HTTP 200 with a body"),
        (lambda _: httpx.Response(200, text="<html>"), mcp_http.SERVER_ERROR, "HTTP 200 with a body"),
        (lambda _: httpx.Response(200, headers=JSON, content=BIG), mcp_http.TOO_BIG, "more than 1048576 bytes"),
        (
            lambda _: httpx.Response(200, headers=JSON, stream=Parts(b"{", httpx.ReadError("cut"))),
            mcp_http.NO_ANSWER,
            "ReadError: cut",
        ),
    ],
)
async def test_a_request_that_fails_is_answered(
    answer: Callable[[httpx.Request], httpx.Response], code: int, told: str
) -> None:
    response = await post(answer, ASKED)
    body = response.json()
    assert (response.status_code, body["id"], body["error"]["code"]) == (200, 7, code)
    assert body["error"]["message"].startswith(told)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((b": ping\n\n",), mcp_http.NO_ANSWER),
        ((b"event: message\nda", httpx.ReadError("cut")), mcp_http.NO_ANSWER),
        ((b"data: ", BIG), mcp_http.TOO_BIG),
    ],
)
async def test_events_that_end_before_the_answer_end_with_one(parts: tuple[bytes | Exception, ...], code: int) -> None:
    response = await post(lambda _: httpx.Response(200, headers=EVENTS, stream=Parts(*parts)), ASKED)
    last = response.text.rstrip().rpartition("data: ")[2]
    assert (json.loads(last)["id"], json.loads(last)["error"]["code"]) == (7, code)


async def test_numbered_events_are_asked_for_again_by_the_sdk() -> None:
    response = await post(lambda _: httpx.Response(200, headers=EVENTS, stream=Parts(b"id: 3\ndata:\n\n")), ASKED)
    assert response.text == "id: 3\ndata:\n\n"


async def test_a_notice_that_fails_ends_no_session() -> None:
    assert (await post(raising(httpx.ConnectError("refused")), NOTICE)).status_code == 202


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(200, json={"ok": 1}), ASKED),
        (httpx.Response(404), ASKED),
        (httpx.Response(307, headers={"location": "/mcp/"}), ASKED),
        (httpx.Response(202), NOTICE),
    ],
)
async def test_what_is_in_order_passes(answer: httpx.Response, message: dict[str, Any]) -> None:
    assert (await post(lambda _: answer, message)).status_code == answer.status_code


# The lines of a program.


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\n"], [(b"a", True), (b"b", True)]),
        ([b"a", b"b", b"\nc"], [(b"ab", True)]),
        ([b"\n\n"], [(b"", True), (b"", True)]),
        ([b"x" * 300, b"y" * 300, b"\nnext\n"], [(b"x" * 200, False), (b"next", True)]),
        ([b"x" * 100, b"y" * 301, b"z" * 50, b"\n"], [(b"x" * 100 + b"y" * 100, False)]),
        ([b"x" * 401 + b"\nnext\n"], [(b"x" * 200, False), (b"next", True)]),
        ([b"x" * 400 + b"\n"], [(b"x" * 400, True)]),
        ([], []),
    ],
)
def test_a_line_too_long_is_its_beginning(chunks: list[bytes], lines: list[tuple[bytes, bool]]) -> None:
    reader = Lines(400)
    assert [line for chunk in chunks for line in reader.feed(chunk)] == lines


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 50))
def test_lines_do_not_depend_on_how_bytes_come(texts: list[bytes], size: int) -> None:
    whole = b"".join(text.replace(b"\n", b" ") + b"\n" for text in texts)
    once, pieces = Lines(250), Lines(250)
    expected = once.feed(whole)
    assert [line for at in range(0, len(whole), size) for line in pieces.feed(whole[at : at + size])] == expected
