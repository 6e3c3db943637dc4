"""tools.yaml: the tools an agent may call, as data. What is given in it (`url`, `openapi`, `python`) says which kind a
tool is; everything else is common to all kinds. The tools of MCP servers declare themselves."""

import re
from typing import Annotated, Any, Literal

import jsonschema
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    SecretStr,
    Tag,
    model_validator,
)

from services.brain.tools.operation import Operation
from services.common.settings import hidden_mistake, mistake_at

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What http_tool.py fills in itself.
_OWN_HEADERS = frozenset({"accept", "accept-encoding", "content-length", "content-type", "host", "idempotency-key"})


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` if it is a JSON schema of an object. Raises ValueError."""
    if schema.get("type") != "object":
        raise ValueError("expected a JSON schema with `type: object`")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"not a JSON schema: {error.message}") from None
    if outside := _reference_outside(schema):
        raise ValueError(f"refers to {outside[:100]!r}, outside of itself")
    return schema


def _reference_outside(schema: Any) -> str:
    """Models get the schema alone, and nothing is fetched to check arguments."""
    if isinstance(schema, dict) and isinstance(found := schema.get("$ref"), str) and not found.startswith("#"):
        return found
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return next((found for one in inside if (found := _reference_outside(one))), "")


def _sentences(value: object) -> object:
    return ([value] if value else []) if isinstance(value, str) else value


def _headers(value: object) -> object:
    """Values may be secrets: no mistake shows them."""
    if not isinstance(value, dict):
        raise hidden_mistake("expected `Name: value` lines")
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise mistake_at((name,), "not the name of a header")
        if name.lower() in _OWN_HEADERS:
            raise mistake_at((name,), "this header is set by Tandem itself")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise mistake_at((name,), "expected text in one line, of ASCII characters; quote a number")
    return value


Schema = Annotated[dict[str, Any], AfterValidator(json_schema)]
Headers = Annotated[dict[str, SecretStr], BeforeValidator(_headers)]
Sentences = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_sentences)]
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResultLimits(Part):
    """How a result is shortened, by rule, before the model sees it."""

    # Names of fields, or paths such as `doctor.name`: what is not below one of them is left out. Empty keeps all.
    keep: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    # Of every list. A voice reads out three; ten leave room to choose.
    items: int = Field(default=10, ge=1, le=1000)
    # Of every text, cut at the end of a sentence.
    characters: int = Field(default=600, ge=20, le=20_000)
    # Objects and lists within each other.
    depth: int = Field(default=6, ge=1, le=20)
    # Of it all, as JSON in UTF-8: about a thousand tokens, which the model reads again each turn.
    max_bytes: int = Field(default=4096, ge=200, le=65_536)


class BulkheadLimits(Part):
    """Calls to the same system share a bulkhead, named after its host (or MCP server) unless a name is given."""

    name: str = Field(default="", max_length=100)
    # At once, in one brain process. 20 at 200 ms each are 100 calls a second.
    at_once: int = Field(default=20, ge=1, le=1000)
    # In line for a place, before the caller is told that the system is busy.
    wait_ms: int = Field(default=1000, ge=0, le=30_000)


def _bulkhead(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class ToolDeclaration(Part):
    """What is common to all kinds of tools."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    description: str = Field(min_length=1)
    parameters: Schema = Field(default_factory=lambda: dict(_NO_PARAMETERS))
    # True when calling twice is not the same as calling once: such a call carries an Idempotency-Key, is journalled
    # before it goes out and never runs on speculation.
    side_effect: bool
    # The other side knows a repeated call by its idempotency key. Without that, a call with a side effect is tried
    # again only where it surely did not arrive.
    idempotent: bool = True
    # A caller waits in silence or on a filler: 4 s is about what people bear with a "let me look".
    deadline_ms: int = Field(default=4000, ge=100, le=60_000)
    # Attempts after the first, within the same deadline.
    retries: int = Field(default=1, ge=0, le=5)
    # May run beside other calls of the same turn. What has a side effect runs alone unless it is said here.
    parallel: bool | None = None
    bulkhead: Annotated[BulkheadLimits, BeforeValidator(_bulkhead)] = BulkheadLimits()
    # Spoken when the answer takes long enough to be noticed: one sentence, or several to choose from.
    say_while_sentences: Sentences = Field(default=(), alias="say_while")
    # The honest sentence for when it did not work.
    say_failed: str = "I'm sorry, I can't reach our system right now."
    result: ResultLimits = ResultLimits()

    @property
    def say_while(self) -> str:
        """The first of `say_while_sentences`, or nothing."""
        return self.say_while_sentences[0] if self.say_while_sentences else ""

    @property
    def runs_in_parallel(self) -> bool:
        return not self.side_effect if self.parallel is None else self.parallel

    def may_repeat(self, idempotency_key: str) -> bool:
        """A second attempt is safe when it changes nothing, or when the other side can tell it is the same one."""
        return not self.side_effect or (self.idempotent and bool(idempotency_key))

    def openai_tool(self) -> dict[str, Any]:
        """The declaration as chat models take it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


class HttpDeclaration(ToolDeclaration):
    """A plain HTTP request. Arguments named in `url` go into it; the others into the query (GET, DELETE) or a JSON
    body."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: str = Field(pattern=r"^https?://")
    headers: Headers = Field(default_factory=dict)

    @model_validator(mode="after")
    def _placeholders_are_parameters(self) -> "HttpDeclaration":
        properties = self.parameters.get("properties", {})
        for name in self.url_arguments:
            if name not in properties:
                raise ValueError(f"url has {{{name}}}, which is not among the parameters ({', '.join(properties)})")
        return self

    @property
    def url_arguments(self) -> tuple[str, ...]:
        return tuple(_PLACEHOLDER.findall(self.url))

    @property
    def operation(self) -> Operation:
        """The request that it makes."""
        elsewhere: Literal["query", "body"] = "query" if self.method in ("GET", "DELETE") else "body"
        return Operation.plain(
            self.method, self.url, self.url_arguments, self.parameters.get("properties", {}), elsewhere
        )


class OpenApiSource(Part):
    """An operation of an OpenAPI document in the agent folder; written short as `document.yaml#operationId`."""

    document: str = Field(min_length=1)
    # Its operationId, or `GET /path`.
    operation: str = Field(min_length=1)
    # Where to call it; the document's own first server unless given.
    server: str = Field(default="", pattern=r"^(https?://.+)?$")


def _openapi(value: object) -> object:
    if isinstance(value, str):
        document, _, operation = value.partition("#")
        return {"document": document, "operation": operation}
    return value


class OpenApiDeclaration(ToolDeclaration):
    """An operation of an OpenAPI document, which says what is not said here: description, parameters, and that GET
    has no side effect. `resolved` fills these in; before that they are empty."""

    openapi: Annotated[OpenApiSource, BeforeValidator(_openapi)]
    description: str = ""
    parameters: Schema = Field(default_factory=lambda: dict(_NO_PARAMETERS))
    side_effect: bool = True
    headers: Headers = Field(default_factory=dict)
    _operation: Operation | None = PrivateAttr(default=None)

    @property
    def operation(self) -> Operation:
        """The request that it makes. Raises LookupError before it is resolved, as load_agent does."""
        if self._operation is None:
            raise LookupError(f"the OpenAPI operation of {self.name} was not looked up")
        return self._operation

    def resolved(self, operation: Operation) -> "OpenApiDeclaration":
        """With what the document says where nothing is said here."""
        own = self.model_fields_set
        found: dict[str, Any] = {}
        if not self.description:
            found["description"] = operation.description
        if "parameters" not in own:
            found["parameters"] = operation.parameters
        if "side_effect" not in own:
            found["side_effect"] = operation.method not in ("GET", "HEAD")
        copy = self.model_copy(update=found)
        copy._operation = operation
        return copy


class McpSource(Part):
    """A tool of an MCP server, by the agent's name for the server and the server's name for the tool."""

    server: str = Field(min_length=1)
    tool: str = Field(min_length=1)


class McpDeclaration(ToolDeclaration):
    """A tool of an MCP server: made from what the server lists, and never written in tools.yaml."""

    mcp: McpSource


class PythonDeclaration(ToolDeclaration):
    """A function in the agent folder: `tools/calendar.py:free_slots`. Its docstring and signature say the description
    and the parameters that are not given here."""

    # Checked where it is loaded (python_function.py), which can say what is wrong with it.
    python: str = Field(min_length=1)
    description: str = ""
    parameters: Schema = Field(default_factory=lambda: dict(_NO_PARAMETERS))


KINDS: dict[str, type[ToolDeclaration]] = {
    "url": HttpDeclaration,
    "openapi": OpenApiDeclaration,
    "python": PythonDeclaration,
}
"""By the key that says the kind."""
KINDS_BY_NAME = {kind.__name__: kind for kind in KINDS.values()}
"""By the name under which pydantic tells of a mistake in one."""


def kind_of(written: object) -> str:
    """The name of the class that takes what was written. Two kinds at once fail there, as an unknown key."""
    if isinstance(written, ToolDeclaration):
        return type(written).__name__
    keys = written if isinstance(written, dict) else {}
    return next((kind.__name__ for key, kind in KINDS.items() if key in keys), HttpDeclaration.__name__)


AnyTool = Annotated[
    Annotated[HttpDeclaration, Tag("HttpDeclaration")]
    | Annotated[OpenApiDeclaration, Tag("OpenApiDeclaration")]
    | Annotated[PythonDeclaration, Tag("PythonDeclaration")],
    Discriminator(kind_of),
]
