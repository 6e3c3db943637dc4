"""An OpenAPI document as written: its values, where they stand, and what its references mean."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

Path = tuple[str | int, ...]

MOST_BYTES = 5 * 1024 * 1024
_LONGEST_CHAIN = 10


class OpenApiMistake(ValueError):
    """What is wrong, and where: at `path` in the document when it is given, or else with `field` of `openapi`:
    "document", "operation" or "server"."""

    def __init__(self, what: str, path: Path | None = None, field: str = "operation", line: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.path = path
        self.field = field
        self.line = line


if TYPE_CHECKING:
    _Fastest = yaml.SafeLoader
else:  # libyaml's where it is there: several times as fast, and such documents may have a megabyte
    _Fastest = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Fastest):
    """Without dates: `2026-01-01` is a text in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class OpenApiDocument:
    """OpenAPI 3.0 or 3.1, YAML or JSON. Only references within the document are followed."""

    def __init__(self, text: str) -> None:
        """Raises OpenApiMistake."""
        if len(text) > MOST_BYTES:
            raise OpenApiMistake(f"more than {MOST_BYTES // 2**20} MB is not read", ())
        self._text = text
        self._root: yaml.Node | None = None
        self.value = _parsed(text)
        version = str(self.value.get("openapi", ""))
        if not version.startswith(("3.0", "3.1")):
            found = "Swagger 2.0: convert it first" if "swagger" in self.value else f"not {version!r}"
            raise OpenApiMistake(f"expected `openapi: 3.0.x` or `3.1.x`, {found}", ("openapi",))
        self.is_3_0 = version.startswith("3.0")
        resource = Resource.from_contents(self.value, default_specification=DRAFT202012)
        self._resolver = Registry[Any]().with_resource("", resource).resolver()

    def line_of(self, path: Path) -> int:
        """Where `path`, or the nearest part above it, stands. Lines count from 1."""
        try:
            self._root = self._root or yaml.compose(self._text, Loader=_Fastest)
        except yaml.YAMLError:  # JSON with tabs, which YAML does not allow
            return 1
        node, line = self._root, 1
        for part in path:
            node, found = _below(node, part)
            if node is None:
                break
            line = found
        return line

    def resolve(self, value: Any, path: Path) -> tuple[Any, Path]:
        """What a {"$ref"} stands for, and where that is written. Raises OpenApiMistake."""
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                return value, path
            reference = value["$ref"]
            if not reference.startswith("#"):
                what = f"{reference[:80]!r} is in another file; put all into one document (`redocly bundle`, for one)"
                raise OpenApiMistake(what, (*path, "$ref"))
            try:
                value = self._resolver.lookup(reference).contents
            except (Unresolvable, ValueError):
                raise OpenApiMistake(f"there is nothing at {reference[:80]!r}", (*path, "$ref")) from None
            path = tuple(part.replace("~1", "/").replace("~0", "~") for part in reference[1:].split("/")[1:])
        raise OpenApiMistake("a reference to a reference to a reference …", path)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_Loader)
    except json.JSONDecodeError as error:
        raise OpenApiMistake(f"not JSON: {error.msg}", (), line=error.lineno) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "unreadable"
        raise OpenApiMistake(f"not YAML: {what}", (), line=mark.line + 1 if mark else 1) from None
    except RecursionError:
        raise OpenApiMistake("too deep to be read", ()) from None
    if not isinstance(value, dict):
        raise OpenApiMistake("expected an OpenAPI document", ())
    return value


def _below(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, int]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        child = node.value[part]
        return child, child.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            if key.value == str(part):
                return child, key.start_mark.line + 1
    return None, 0


def mapping(value: Any, path: Path) -> Mapping[str, Any]:
    """`value`, which must be an object. Raises OpenApiMistake."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OpenApiMistake("expected `key: value` lines", path)
    return value


def listed(value: Any, path: Path) -> list[Any]:
    """`value`, which must be a list. Raises OpenApiMistake."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise OpenApiMistake("expected a list", path)
    return value
