"""Loading an agent folder: every mistake in it at once, each with file, line, key and what is expected."""

import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from services.brain.agent.agent import Agent, content_version
from services.brain.agent.callfacts import call_variables
from services.brain.agent.document import Document, read_document, read_text
from services.brain.agent.files import AGENT_FILE, agent_files
from services.brain.agent.guard import filter_mistake
from services.brain.agent.mcpservers import known_names
from services.brain.agent.mistakes import AgentInvalid, Mistake
from services.brain.agent.pythontools import resolve_functions
from services.brain.agent.toolfile import resolve_operations, without_kind, wrong_kind
from services.brain.agent.variables import SPOKEN, undeclared, wrong_sentences
from services.brain.flow.check import flow_mistakes
from services.brain.tools.built_in import BUILT_IN_NAMES
from services.brain.tools.declaration import KINDS_BY_NAME
from services.common.settings import Key
from tandem.v1.call_pb2 import CallFacts


def load_agent(path: Path | str, variables: Mapping[str, str] | None = None) -> Agent:
    """The agent in the folder `path`. `variables` are put in for ${NAME} in its YAML files.

    Raises AgentInvalid with all mistakes in the folder.
    """
    folder = Path(path).resolve()
    if not (folder / AGENT_FILE).is_file():
        raise AgentInvalid(str(path), [Mistake(AGENT_FILE, 0, "", "the folder has no agent.yaml")])
    known = dict(variables or {})
    document = read_document(folder, AGENT_FILE, known)
    files = [AGENT_FILE]
    if not document.mistakes:
        files += _graft_files(document, folder, known)
    files += _filter_file(document)
    version = str(document.value.get("version") or content_version(folder, sorted({*files, *agent_files(folder)})))
    agent: Agent | None = None
    if isinstance(document.value, dict) and document.value:
        if "folder" in document.value:
            document.mistake(("folder",), "unknown key")
        own = document.value.get("variables") or {}
        # The operator's settings beat the author's defaults.
        both = {**own, **known} if isinstance(own, dict) else own
        try:
            agent = Agent.model_validate({**document.value, "folder": folder, "version": version, "variables": both})
        except ValidationError as error:
            for one in error.errors():
                _explain(document, one)
    if agent is not None:
        agent = resolve_operations(document, agent, folder)
        agent = resolve_functions(document, agent, folder)
        _check_references(document, agent)
    if document.mistakes or agent is None:
        raise AgentInvalid(str(path), document.mistakes or [Mistake(AGENT_FILE, 1, "", "the file is empty")])
    return agent


def _graft_files(document: Document, folder: Path, variables: Mapping[str, str]) -> list[str]:
    """Put script, tools and prompts in the place of their file names; the names of these files."""
    files: list[str] = []
    value = document.value
    if "script" in value and (file := _file_name(document, ("script",))):
        files.append(file)
        document.graft(("script",), read_document(folder, file, variables))
    if "tools" in value and (file := _file_name(document, ("tools",))):
        files.append(file)
        tools = read_document(folder, file, variables)
        document.graft(("tools",), tools)
        for key in tools.value:
            if key != "tools":
                document.mistake(("tools", key), "unknown key; known: tools")
        value["tools"] = tools.value.get("tools", [])
        document.marks = {_without_repeat(key): mark for key, mark in document.marks.items()}
    if "flows" in value and (file := _file_name(document, ("flows",))):
        files.append(file)
        flows = read_document(folder, file, variables)
        document.graft(("flows",), flows)
        for key in flows.value:
            if key != "flows":
                document.mistake(("flows", key), "unknown key; known: flows")
        value["flows"] = flows.value.get("flows", {})
        document.marks = {_without_repeat(key): mark for key, mark in document.marks.items()}
    if isinstance(value.get("prompts"), dict) and "system" in value["prompts"]:
        place: Key = ("prompts", "system")
        if file := _file_name(document, place):
            files.append(file)
            value["prompts"]["system"] = read_text(document, folder, file, place) or "-"
    return files


def _filter_file(document: Document) -> list[str]:
    """The file of `guard.filter`: a change to it is another version of the agent."""
    guard = document.value.get("guard") if isinstance(document.value, dict) else None
    named = guard.get("filter") if isinstance(guard, dict) else None
    return [named.partition(":")[0]] if isinstance(named, str) and ":" in named and ".." not in named else []


def _without_repeat(key: Key) -> Key:
    # tools.yaml holds its list under `tools`, and stands under `tools` in agent.yaml; so does flows.yaml.
    return key[1:] if key[:2] in (("tools", "tools"), ("flows", "flows")) else key


def _file_name(document: Document, key: Key) -> str:
    value = document.value
    for part in key:
        value = value[part]
    if isinstance(value, str) and value:
        return value
    document.mistake(key, "expected the name of a file in the agent folder")
    return ""


def _explain(document: Document, error: Any) -> None:
    key = _written(document, tuple(error["loc"]))
    if told := wrong_kind(tuple(error["loc"]), error["type"]):
        document.mistake(key, told)
    elif error["type"] == "placed":
        document.mistake((*key, *error["ctx"]["key"]), error["ctx"]["what"])
    elif error["type"] == "extra_forbidden":
        siblings = _known_keys(tuple(error["loc"]))
        near = difflib.get_close_matches(str(key[-1]), siblings, 1)
        meant = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(siblings)}" if siblings else ""
        document.mistake(key, f"unknown key{meant}")
    elif error["type"] == "missing":
        document.mistake(key, "missing, and needed")
    else:
        message = str(error["msg"]).removeprefix("Value error, ")
        given = error.get("input")
        shown = "" if isinstance(given, dict | list | BaseModel) or given is None else f", not {given!r}"
        shown = "" if error["type"] == "value_error" else shown
        document.mistake(key, message[:1].lower() + message[1:] + shown)


def _written(document: Document, key: Key) -> Key:
    """The key as the author wrote it."""
    if key[-1:] == ("[key]",):  # so pydantic tells that a mapping's key is wrong, and not its value
        key = key[:-1]
    key = without_kind(key)
    if key[:2] == ("fillers", "thinking") and key[:2] not in document.marks:
        key = ("fillers", *key[2:])
    as_text = tuple(str(part) for part in key)  # `7: seven` has a number for its key
    if key not in document.marks and as_text in document.marks:
        key = as_text
    return key


def _known_keys(key: Key) -> list[str]:
    """The keys allowed beside the last one of `key`, found by walking the models."""
    model: Any = Agent
    for part in key[:-1]:
        if part in KINDS_BY_NAME:
            model = KINDS_BY_NAME[str(part)]
        elif isinstance(model, type) and issubclass(model, BaseModel):
            field = {one.alias or name: one for name, one in model.model_fields.items()}.get(str(part))
            model = _inner(field.annotation) if field else None
        elif model is not None:
            model = _inner(model)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return sorted({one.alias or name for name, one in model.model_fields.items()} - {"folder"})
    return []


def _inner(annotation: Any) -> Any:
    """The model in `Model | None`; `dict[str, Model]` and `list[Model]` stay themselves until their key is passed."""
    if typing.get_origin(annotation) in (dict, list):
        return _Holding(typing.get_args(annotation)[-1])
    if isinstance(annotation, _Holding):
        return annotation.model
    models = [one for one in typing.get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return models[0] if models else annotation


class _Holding:
    def __init__(self, model: Any) -> None:
        self.model = model


def _check_variables(document: Document, agent: Agent) -> None:
    known = {"agent": agent.name, "call": call_variables(CallFacts()), **agent.variables}
    for key, expected in undeclared(agent.variables, agent.by_trunk, agent.by_number):
        document.mistake(key, expected)
    for key, expected in wrong_sentences(agent, known, SPOKEN):
        document.mistake(_written(document, key), expected)


def _check_references(document: Document, agent: Agent) -> None:
    _check_variables(document, agent)
    if agent.guard.filter and (wrong := filter_mistake(agent.folder, agent.guard.filter)):
        document.mistake(("guard", "filter"), wrong)
    seen: set[str] = set()
    for index, tool in enumerate(agent.tools):
        if tool.name in seen or tool.name in BUILT_IN_NAMES:
            document.mistake(("tools", index, "name"), f"there is already a tool {tool.name}")
        seen.add(tool.name)
    for server, settings in agent.mcp_servers.items():
        for tool_name in known_names({server: settings}):
            if tool_name in seen or tool_name in BUILT_IN_NAMES:
                document.mistake(("mcp_servers", server, "tools"), f"there is already a tool {tool_name}; use `rename`")
            seen.add(tool_name)
    for key, expected in flow_mistakes(agent.flows, {tool.name: tool for tool in agent.tools}):
        document.mistake(_written(document, ("flows", *key)), expected)
    if agent.script is None:
        return
    for key, expected in agent.script.mistakes(frozenset(seen)):
        document.mistake(("script", *key), expected)
    for name, intent in agent.script.intents.items():
        declared = agent.tool(intent.tool) if intent.tool else None
        parameters = declared.parameters.get("properties", {}) if declared else {}
        for argument in intent.arguments:
            if declared and argument not in parameters:
                known = ", ".join(parameters) or "none"
                key = ("script", "intents", name, "arguments", argument)
                document.mistake(key, f"{declared.name} has no parameter {argument!r}; known: {known}")
        if intent.action == "transfer" and agent.escalation is None:
            document.mistake(("script", "intents", name, "action"), "transfer needs `escalation` in agent.yaml")
