"""A schema of an OpenAPI document as the JSON schema that chat models and jsonschema take: with its references put in,
and OpenAPI 3.0's own words (`nullable`, `exclusiveMinimum: true`) said as JSON Schema says them."""

from typing import Any

from services.brain.tools.openapi_document import OpenApiDocument, OpenApiMistake, Path, mapping

# A model reads the schema on every turn.
MOST_PARTS = 1000
_SCHEMAS = frozenset({"items", "not", "additionalProperties", "contains", "propertyNames", "if", "then", "else"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_KEPT = frozenset(
    (
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems"),
        *("minProperties", "maxProperties", "required", "description", "default"),
    )
)


class SchemaReader:
    """Of one operation. What only comes in answers (`readOnly`) is left out; what holds itself ends as anything."""

    def __init__(self, document: OpenApiDocument) -> None:
        self._document = document
        self._parts = 0

    def read(self, schema: Any, path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
        """Raises OpenApiMistake."""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise OpenApiMistake(f"more than {MOST_PARTS} parts are too many for a model; give `parameters`", path)
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        beside = mapping(schema, path)
        found, at = self._document.resolve(schema, path)
        if isinstance(found, bool):
            return {} if found else {"not": {}}
        if at in above:
            return {}
        written = dict(mapping(found, at))
        if found is not schema and "description" in beside:  # 3.1 allows words beside a reference
            written["description"] = beside["description"]
        return self._converted(written, at, (*above, at))

    def _converted(self, written: dict[str, Any], path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
        made = {key: value for key, value in written.items() if key in _KEPT}
        for key in _SCHEMAS & written.keys():
            made[key] = self.read(written[key], (*path, key), above)
        for key in _LISTS & written.keys():
            if not isinstance(written[key], list):
                raise OpenApiMistake("expected a list", (*path, key))
            made[key] = [self.read(one, (*path, key, at), above) for at, one in enumerate(written[key])]
        if "properties" in written:
            self._properties(made, written, path, above)
        if self._document.is_3_0:
            _as_json_schema(made, written)
        return made

    def _properties(self, made: dict[str, Any], written: dict[str, Any], path: Path, above: tuple[Path, ...]) -> None:
        made["properties"] = {}
        for name, schema in mapping(written["properties"], (*path, "properties")).items():
            at = (*path, "properties", name)
            if not _read_only(self._document.resolve(schema, at)[0]):
                made["properties"][str(name)] = self.read(schema, at, above)
        if isinstance(written.get("required"), list):
            made["required"] = [name for name in written["required"] if name in made["properties"]]


def _read_only(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("readOnly") is True


def _as_json_schema(made: dict[str, Any], written: dict[str, Any]) -> None:
    """OpenAPI 3.0's dialect is no JSON Schema."""
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and limit in made:
            made[exclusive] = made.pop(limit)
    if written.get("nullable") is True:
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
