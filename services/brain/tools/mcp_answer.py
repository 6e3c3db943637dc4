"""What came of an MCP call, as a ToolResult. Pure."""

import json
from collections.abc import Iterable
from typing import Any

from mcp import McpError
from mcp.types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolResult,
    EmbeddedResource,
    TextContent,
    TextResourceContents,
)

from services.brain.tools import mcp_http
from services.brain.tools.result import FailureCode, ToolResult, failure

# A program's answer comes through no size limit of HTTP.
MAX_ANSWER_CHARACTERS = mcp_http.MAX_ANSWER_BYTES
_LONGEST_ERROR = 500
# By JSON-RPC's code: ours, and whether the call may have been carried out.
_CODES: dict[int, tuple[FailureCode, bool]] = {
    mcp_http.UNREACHABLE: ("unreachable", False),
    mcp_http.NO_ANSWER: ("unreachable", True),
    mcp_http.SERVER_ERROR: ("server_error", True),
    mcp_http.REFUSED: ("refused", False),
    mcp_http.TOO_BIG: ("too_big", True),
    mcp_http.BUSY: ("busy", False),
    INVALID_PARAMS: ("invalid_arguments", False),
    METHOD_NOT_FOUND: ("unknown_tool", False),
    408: ("timeout", True),
}


def result_of(answer: CallToolResult) -> ToolResult:
    """`structuredContent` where there is some, else JSON in text, else text; what cannot be told is in `left_out`."""
    texts = [text for one in answer.content if (text := _text(one)) is not None]
    if sum(len(text) for text in texts) > MAX_ANSWER_CHARACTERS:
        return failure("too_big", f"more than {MAX_ANSWER_CHARACTERS} characters", unsure=True)
    value = _unwrapped(answer.structuredContent) if answer.structuredContent is not None else _value(texts)
    left_out = tuple(_absent(answer.content))
    if not answer.isError:
        return ToolResult(ok=True, value=value, left_out=left_out)
    told = value.get("error", value) if isinstance(value, dict) else {}
    told = told if isinstance(told, dict) else {"message": told}
    error = str(told.get("message") or " ".join(texts) or "the tool failed")
    code = str(told.get("code") or "refused")
    value = value if isinstance(value, dict | list) else None
    return ToolResult(ok=False, value=value, error=error[:_LONGEST_ERROR], code=code[:64], left_out=left_out)


def failure_of(error: McpError) -> ToolResult:
    """Of an error that the server, or mcp_http.py, answered with instead of a result."""
    code, unsure = _CODES.get(error.error.code, ("failed", True))
    return failure(code, error.error.message[:_LONGEST_ERROR], unsure=unsure)


def _text(content: Any) -> str | None:
    if isinstance(content, TextContent):
        return content.text
    if isinstance(content, EmbeddedResource) and isinstance(content.resource, TextResourceContents):
        return content.resource.text
    return None


def _absent(contents: Iterable[Any]) -> Iterable[str]:
    for one in contents:
        if _text(one) is None:
            kind = getattr(one, "mimeType", None) or getattr(getattr(one, "resource", None), "mimeType", None)
            name = {"image": "an image", "audio": "a recording", "resource_link": "a link"}.get(one.type, "a file")
            yield (
                f"{name} ({kind}), which cannot be told on the phone"
                if kind
                else f"{name}, which cannot be told on the phone"
            )


def _unwrapped(value: dict[str, Any]) -> Any:
    """The SDK's servers wrap what is no object."""
    return value["result"] if value.keys() == {"result"} else value


def _value(texts: list[str]) -> Any:
    """Lists come from the SDK's servers as a text an item."""
    values = [_parsed(text) for text in texts]
    if len(values) < 2:
        return values[0] if values else None
    return "\n".join(values) if all(isinstance(one, str) for one in values) else values


def _parsed(text: str) -> Any:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
