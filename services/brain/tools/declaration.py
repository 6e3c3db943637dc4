"""tools.yaml: the tools an agent may call, as data."""

import re
from typing import Annotated, Any, Literal

import jsonschema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        raise ValueError("expected a JSON schema with `type: object`")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"not a JSON schema: {error.message}") from None
    return schema


class ToolDeclaration(BaseModel):
    """One HTTP tool. Arguments named in `url` go into it; the others into the query (GET, DELETE) or a JSON body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    description: str = Field(min_length=1)
    parameters: Annotated[dict[str, Any], AfterValidator(_json_schema)] = Field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: str = Field(pattern=r"^https?://")
    # True when calling twice is not the same as calling once: such a call carries an Idempotency-Key, is journalled
    # before it goes out and never runs on speculation.
    side_effect: bool
    # A caller waits in silence or on a filler: 4 s is about what people bear with a "let me look".
    deadline_ms: int = Field(default=4000, ge=100, le=60_000)
    # Spoken when the answer takes long enough to be noticed.
    say_while: str = ""
    # The honest sentence for when it did not work.
    say_failed: str = "I'm sorry, I can't reach our system right now."

    @model_validator(mode="after")
    def _placeholders_are_parameters(self) -> "ToolDeclaration":
        properties = self.parameters.get("properties", {})
        for name in self.url_arguments:
            if name not in properties:
                raise ValueError(f"url has {{{name}}}, which is not among the parameters ({', '.join(properties)})")
        return self

    @property
    def url_arguments(self) -> tuple[str, ...]:
        return tuple(_PLACEHOLDER.findall(self.url))

    def openai_tool(self) -> dict[str, Any]:
        """The declaration as chat models take it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}
