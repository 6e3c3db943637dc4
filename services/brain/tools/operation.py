"""One HTTP request as a pattern: where each argument goes. Plain HTTP tools and OpenAPI operations both come to it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlsplit

Place = Literal["path", "query", "header", "body"]
WHOLE_BODY = "body"
"""The argument that is the body, where its schema is no plain object."""


class ArgumentUnfit(ValueError):
    """An argument that fits the schema and can't be put in its place."""


@dataclass(frozen=True, slots=True)
class Argument:
    """`name` is the model's name for it, `wire_name` the system's. Lists are repeated (`explode`) or comma-joined."""

    name: str
    place: Place
    wire_name: str
    explode: bool = True


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What goes out. `query` has pairs, in order; `json` is None where there is no body."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    json: Any
    has_body: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """`url` has a {wire_name} for each argument in the path."""

    method: str
    url: str
    arguments: tuple[Argument, ...] = ()
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    whole_body: bool = False
    """The argument WHOLE_BODY is the whole body."""

    @classmethod
    def plain(
        cls, method: str, url: str, in_path: Iterable[str], names: Iterable[str], elsewhere: Place
    ) -> "Operation":
        """Of a plain HTTP tool with the parameters `names`: some stand in the path, the others `elsewhere`."""
        within = tuple(dict.fromkeys(in_path))
        places: dict[str, Place] = {name: "path" if name in within else elsewhere for name in (*within, *names)}
        return cls(method, url, tuple(Argument(name, place, name) for name, place in places.items()))

    @property
    def has_body(self) -> bool:
        return self.method not in ("GET", "DELETE", "HEAD") or any(one.place == "body" for one in self.arguments)

    @property
    def host(self) -> str:
        """host:port as written, without user and password."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def request(self, values: Mapping[str, Any]) -> HttpRequest:
        """With `values` in place. What the operation does not know goes to the query, or the body if it has one.

        Raises ArgumentUnfit.
        """
        known = {argument.name: argument for argument in self.arguments}
        url, query, headers = self.url, list[tuple[str, str]](), dict[str, str]()
        body: Any = {}
        for argument in self.arguments:
            if argument.place == "path":
                url = url.replace("{" + argument.wire_name + "}", _in_path(argument, values.get(argument.name)))
        for name, value in values.items():
            argument = known.get(name) or Argument(name, "body" if self.has_body else "query", name)
            if argument.place == "query":
                query += _in_query(argument, value)
            elif argument.place == "header" and value is not None:
                headers[argument.wire_name] = _in_header(argument, value)
            elif argument.place == "body" and self.whole_body and name == WHOLE_BODY:
                body = value
            elif argument.place == "body":
                body[argument.wire_name] = value
        return HttpRequest(self.method, url, tuple(query), headers, body if self.has_body else None, self.has_body)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _joined(value: Any) -> str:
    return ",".join(_text(one) for one in value) if isinstance(value, list) else _text(value)


def _in_path(argument: Argument, value: Any) -> str:
    text = _joined(value)
    # An empty segment or a dot names another resource: DELETE /appointments/.. is not what anybody asked for.
    if text in ("", ".", ".."):
        raise ArgumentUnfit(f"$.{argument.name}: {text!r} can't stand in the address")
    return quote(text, safe="")


def _in_query(argument: Argument, value: Any) -> list[tuple[str, str]]:
    if value is None:
        return []
    if isinstance(value, list) and argument.explode:
        return [(argument.wire_name, _text(one)) for one in value]
    return [(argument.wire_name, _joined(value))]


def _in_header(argument: Argument, value: Any) -> str:
    text = _joined(value)
    if not text.isascii() or not text.isprintable():
        raise ArgumentUnfit(f"$.{argument.name}: can't stand in a header: one line of ASCII is needed")
    return text
