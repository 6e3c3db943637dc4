"""An operation of an OpenAPI document as a tool: the request that it makes, its description and its parameters."""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import jsonschema

from services.brain.tools.openapi_document import OpenApiDocument, OpenApiMistake, Path, listed, mapping
from services.brain.tools.openapi_schema import SchemaReader
from services.brain.tools.operation import WHOLE_BODY, Argument, Operation

METHODS = ("get", "post", "put", "patch", "delete")
# The document may say what OpenAPI says is not a parameter, and what HttpTool fills in.
_NOT_ARGUMENTS = frozenset({"accept", "content-type", "authorization", "idempotency-key", "traceparent"})
_JSON = re.compile(r"application/([\w.+-]+\+)?json", re.IGNORECASE)
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_LONGEST_DESCRIPTION = 1000


@dataclass(frozen=True, slots=True)
class _Found:
    method: str
    url_path: str
    path_item: Any
    written: Any
    path: Path


def operation_of(
    document: OpenApiDocument, name: str, server: str = "", given_headers: Collection[str] = ()
) -> Operation:
    """The operation with the operationId `name`, or written `GET /path`. `server` takes the place of the document's.

    `given_headers` are filled in by the operator, and so are no arguments. Raises OpenApiMistake.
    """
    found = _find(document, name)
    parameters = _Parameters(document, {one.lower() for one in given_headers})
    for at, (one, path) in enumerate(_written_parameters(document, found)):
        parameters.add(one, path, at)
    parameters.add_body(found.written.get("requestBody"), (*found.path, "requestBody"))
    missing = set(_PLACEHOLDER.findall(found.url_path)) - {
        one.wire_name for one in parameters.arguments if one.place == "path"
    }
    if missing:
        raise OpenApiMistake(f"no parameter `in: path` says what {{{min(missing)}}} is", found.path)
    told = found.written.get("description") or found.written.get("summary") or name
    return Operation(
        method=found.method.upper(),
        url=_server(document, found, server).rstrip("/") + found.url_path,
        arguments=tuple(parameters.arguments),
        description=" ".join(str(told).split())[:_LONGEST_DESCRIPTION],
        parameters=parameters.schema(found.path),
        whole_body=parameters.whole_body,
    )


def _find(document: OpenApiDocument, name: str) -> _Found:
    known: list[str] = []
    for found in _operations(document):
        own = found.written.get("operationId")
        by_place = f"{found.method.upper()} {found.url_path}"
        if name in (own, by_place):
            return found
        known.append(str(own or by_place))
    near = difflib.get_close_matches(name, known, 1)
    listed_names = ", ".join(sorted(known)[:20]) + (" …" if len(known) > 20 else "")
    meant = f"did you mean {near[0]!r}?" if near else f"known: {listed_names or 'none'}"
    raise OpenApiMistake(f"the document has no operation {name!r}; {meant}")


def _operations(document: OpenApiDocument) -> Iterator[_Found]:
    for url_path, item in mapping(document.value.get("paths"), ("paths",)).items():
        item, path = document.resolve(item, ("paths", url_path))
        for method in METHODS:
            if method in mapping(item, path):
                written = mapping(item[method], (*path, method))
                yield _Found(method, str(url_path), item, written, (*path, method))


def _written_parameters(document: OpenApiDocument, found: _Found) -> list[tuple[Any, Path]]:
    """Those of the operation take the place of its path's with the same name."""
    by_name: dict[tuple[Any, Any], tuple[Any, Path]] = {}
    for holder, at in ((found.path_item, found.path[:-1]), (found.written, found.path)):
        for index, one in enumerate(listed(holder.get("parameters"), (*at, "parameters"))):
            one, path = document.resolve(one, (*at, "parameters", index))
            by_name[mapping(one, path).get("in"), one.get("name")] = (one, path)
    return list(by_name.values())


@dataclass
class _Parameters:
    """Collects what the model is to fill in, and where each part of it goes."""

    document: OpenApiDocument
    given_headers: set[str]
    arguments: list[Argument] = field(default_factory=list)
    whole_body: bool = False
    _properties: dict[str, Any] = field(default_factory=dict)
    _required: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = SchemaReader(self.document)

    def schema(self, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "object", "properties": self._properties, "additionalProperties": False}
        if self._required:
            made["required"] = self._required
        try:
            jsonschema.Draft202012Validator.check_schema(made)
        except jsonschema.SchemaError as error:
            raise OpenApiMistake(f"not a JSON schema: {error.json_path}: {error.message[:200]}", path) from None
        return made

    def add(self, written: Any, path: Path, position: int) -> None:
        name, place = written.get("name"), written.get("in")
        if not isinstance(name, str) or not name:
            raise OpenApiMistake(f"parameter {position + 1} has no name", path)
        if place == "header" and name.lower() in _NOT_ARGUMENTS | self.given_headers:
            return
        required = written.get("required") is True or place == "path"
        if "content" in written:
            media, at = _json_content(written["content"], (*path, "content"))
            schema, schema_path = (media or {}).get("schema", {}), (*at, "schema")
        else:
            schema, schema_path = written.get("schema", {}), (*path, "schema")
        read = self._reader.read(schema, schema_path)
        unfit = _unfit(written, read)
        if unfit:
            if required:
                raise OpenApiMistake(f"{unfit}, which is not supported", path)
            return  # the system can do without
        if isinstance(written.get("description"), str):
            read["description"] = written["description"][:_LONGEST_DESCRIPTION]
        explode = bool(written.get("explode", place == "query"))
        self._put(Argument(self._free_name(name, place), place, name, explode), read, required)

    def add_body(self, written: Any, path: Path) -> None:
        if written is None:
            return
        written, path = self.document.resolve(written, path)
        media, at = _json_content(mapping(written, path).get("content"), (*path, "content"))
        required = written.get("required") is True
        if media is None:
            if required:
                raise OpenApiMistake("only a JSON body is supported", at)
            return
        schema = self._reader.read(media.get("schema", {}), (*at, "schema"))
        plain = schema.get("type") == "object" and schema.get("properties")
        if not plain or any(key in schema for key in ("allOf", "anyOf", "oneOf")):
            self.whole_body = True
            self._put(Argument(WHOLE_BODY, "body", WHOLE_BODY), schema, required)
            return
        for name, inner in schema["properties"].items():
            needed = required and name in schema.get("required", ())
            self._put(Argument(self._free_name(name, "body"), "body", name), inner, needed)

    def _put(self, argument: Argument, schema: dict[str, Any], required: bool) -> None:
        self.arguments.append(argument)
        self._properties[argument.name] = schema
        if required:
            self._required.append(argument.name)

    def _free_name(self, name: str, place: str) -> str:
        """What chat models take for a name, and no other argument has."""
        fit = _UNFIT.sub("_", name)[:64] or place
        return f"{place}_{fit}"[:64] if fit in self._properties else fit


def _unfit(written: Any, schema: dict[str, Any]) -> str:
    """What about a parameter can't be done, or nothing."""
    place, style = written.get("in"), written.get("style")
    usual = {"path": "simple", "query": "form", "header": "simple"}
    if place not in usual:
        return f"`in: {place}`"
    if style is not None and style != usual[place]:
        return f"`style: {style}`"
    if schema.get("type") == "object" and "content" not in written:
        return f"an object in the {place}"
    return ""


def _json_content(written: Any, path: Path) -> tuple[Any, Path]:
    for kind, media in mapping(written, path).items():
        if _JSON.fullmatch(str(kind).partition(";")[0].strip()):
            return mapping(media, (*path, kind)), (*path, kind)
    return None, path


def _server(document: OpenApiDocument, found: _Found, given: str) -> str:
    if given:
        return given
    places: tuple[tuple[Any, Path], ...] = (
        (found.written, found.path),
        (found.path_item, found.path[:-1]),
        (document.value, ()),
    )
    for holder, path in places:
        for index, one in enumerate(listed(holder.get("servers"), (*path, "servers"))):
            at = (*path, "servers", index)
            url = str(mapping(one, at).get("url", ""))
            for name, variable in mapping(one.get("variables"), (*at, "variables")).items():
                url = url.replace("{" + str(name) + "}", str(mapping(variable, at).get("default", "")))
            if not re.match(r"https?://[^/{}]+", url):
                what = f"the document's server {url!r} is not a whole address; give `openapi.server`"
                raise OpenApiMistake(what, field="server")
            return url
    raise OpenApiMistake("the document names no server; give `openapi.server`", field="server")
