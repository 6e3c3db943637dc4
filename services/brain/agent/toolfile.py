"""tools.yaml: what OpenAPI documents say of its tools, and what pydantic says of its mistakes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from services.brain.agent.agent import Agent
from services.brain.agent.document import Document, dotted, read_text
from services.brain.agent.mistakes import Mistake
from services.brain.tools.declaration import KINDS, KINDS_BY_NAME, OpenApiDeclaration, ToolDeclaration
from services.brain.tools.openapi import operation_of
from services.brain.tools.openapi_document import OpenApiDocument, OpenApiMistake
from services.common.settings import Key


def without_kind(key: Key) -> Key:
    """pydantic names the class of a tool; whoever wrote it did not."""
    return (*key[:2], *key[3:]) if key[:1] == ("tools",) and len(key) > 2 and key[2] in KINDS_BY_NAME else key


def wrong_kind(key: Key, error_type: str) -> str:
    """What is to be told of a mistake at `key` (as pydantic has it) about a tool's kind, or nothing."""
    if key[:1] != ("tools",) or len(key) < 3 or key[2] not in KINDS_BY_NAME:
        return ""
    kind = next(name for name, model in KINDS.items() if model.__name__ == key[2])
    kinds = ", ".join(f"`{one}`" for one in KINDS)
    if error_type == "extra_forbidden" and len(key) == 4 and key[3] in KINDS:
        return f"this tool has `{kind}` already; a tool is of one kind: {kinds}"
    if error_type == "extra_forbidden" and key[3:] == ("mcp",):
        return "the tools of an MCP server stand under `mcp_servers` in agent.yaml"
    if error_type == "missing" and key[3:] == (kind,):
        return f"missing, and needed: one of {kinds}"
    if error_type == "model_type" and len(key) == 3:
        return "expected a tool: `name`, `description`, and so on"
    return ""


def resolve_operations(document: Document, agent: Agent, folder: Path) -> Agent:
    """The agent, with what OpenAPI documents say of its tools. Mistakes are noted, in tools.yaml or in the document."""
    read: dict[str, OpenApiDocument | None] = {}
    tools: list[ToolDeclaration] = []
    for index, tool in enumerate(agent.tools):
        if isinstance(tool, OpenApiDeclaration):
            tool = _resolved(document, tool, ("tools", index), folder, read)
        tools.append(tool)
    return agent.model_copy(update={"tools": tools})


def _resolved(
    document: Document, tool: OpenApiDeclaration, key: Key, folder: Path, read: dict[str, OpenApiDocument | None]
) -> OpenApiDeclaration:
    source, place = tool.openapi, (*key, "openapi")
    if source.document not in read:
        read[source.document] = None
        text = read_text(document, folder, source.document, _at(document, place, "document"))
        if text is not None:
            with _noting(document, source.document, None, place):
                read[source.document] = OpenApiDocument(text)
    described = read[source.document]
    if described is None:
        return tool
    with _noting(document, source.document, described, place):
        operation = operation_of(described, source.operation, source.server, tool.headers)
        known = operation.parameters["properties"]
        for name in tool.parameters.get("properties", {}):
            if name not in known:
                told = f"the operation has no parameter {name!r}; known: {', '.join(known) or 'none'}"
                document.mistake((*key, "parameters", "properties", name), told)
        needed = [one for one in operation.parameters.get("required", ()) if one not in tool.parameters["properties"]]
        if "parameters" in tool.model_fields_set and needed:
            document.mistake((*key, "parameters"), f"the operation needs {', '.join(needed)} too")
        return tool.resolved(operation)
    return tool


def _at(document: Document, place: Key, field: str) -> Key:
    return (*place, field) if (*place, field) in document.marks else place


@contextlib.contextmanager
def _noting(document: Document, file: str, described: OpenApiDocument | None, place: Key) -> Iterator[None]:
    try:
        yield
    except OpenApiMistake as mistake:
        if mistake.path is None:
            document.mistake(_at(document, place, mistake.field), mistake.what)
        else:
            line = mistake.line or (described.line_of(mistake.path) if described is not None else 1)
            told = Mistake(file, line, dotted(mistake.path), mistake.what)
            if told not in document.mistakes:
                document.mistakes.append(told)
