"""`mcp_servers` in agent.yaml: servers of the Model Context Protocol whose tools the agent may call."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator

from services.brain.agent.part import Part
from services.common.settings import mistake_at

_LONGEST_NAME = 64
_EXPECTED_TOOLS = "expected `all`, a list of tool names, or tool names with what is set otherwise"


class McpToolSettings(Part):
    """What the operator sets otherwise for one tool. None: as the server has it, or the default."""

    # What the model and the script call it; by default the server's name, with what does not fit made `_`.
    rename: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,63}$")
    description: str | None = Field(default=None, min_length=1, max_length=1000)
    # By default true, unless the server says readOnlyHint.
    side_effect: StrictBool | None = None
    # Twice is the same as once: by default what idempotentHint says. True also where the server knows a repeated call
    # by `tandem/idempotency-key`.
    idempotent: StrictBool | None = None
    deadline_ms: int | None = Field(default=None, ge=100, le=60_000)
    say_while: str | None = None
    say_failed: str | None = Field(default=None, min_length=1)


def _by_name(value: object) -> object:
    if value == "all":
        return {}
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    if isinstance(value, dict) and value:
        return {name: {} if settings is None else settings for name, settings in value.items()}
    raise ValueError(_EXPECTED_TOOLS)


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise mistake_at((name,), "expected the name of an HTTP header")
        if not text.isascii() or not text.isprintable():
            raise mistake_at((name,), "expected one line of ASCII")
    return value


class McpServerSettings(Part):
    """One server: reached by streamable HTTP at `url`, or a program that the brain starts in the agent folder."""

    url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+\S*$")
    # Go with every request: a token, as a rule as ${NAME}.
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    # Looked up beside the brain's own Python first, then in PATH.
    command: str | None = Field(default=None, min_length=1)
    args: list[str] = Field(default_factory=list)
    # All that the program gets of the environment, besides HOME, PATH, USER and the like.
    env: dict[str, str] = Field(default_factory=dict)
    # By the server's name for it; empty: all tools of the server.
    tools: Annotated[dict[str, McpToolSettings], BeforeValidator(_by_name)] = Field(default_factory=dict)
    # The deadline of its tools that have none of their own; as for HTTP tools.
    call_timeout_ms: int = Field(default=4000, ge=100, le=60_000)
    # To start or reach it, agree on a version and list its tools. A program in Python needs most of a second.
    connect_timeout_ms: int = Field(default=10_000, ge=100, le=60_000)

    @model_validator(mode="after")
    def _is_reached_in_one_way(self) -> "McpServerSettings":
        if (self.url is None) == (self.command is None):
            raise mistake_at((), "expected either `url` (streamable HTTP) or `command` (a program), one of the two")
        only_with_other = {"args", "env"} if self.url is not None else {"headers"}
        for key in sorted(only_with_other & self.model_fields_set):
            raise mistake_at((key,), f"goes with `{'command' if self.url is not None else 'url'}` only")
        renamed = [one.rename for one in self.tools.values() if one.rename is not None]
        for name, settings in self.tools.items():
            if settings.rename is not None and renamed.count(settings.rename) > 1:
                raise mistake_at(("tools", name, "rename"), f"another tool is called {settings.rename} too")
        return self

    def settings(self, tool: str) -> McpToolSettings | None:
        """For the tool that the server calls `tool`; None when the agent does not have it."""
        return self.tools.get(tool) if self.tools else McpToolSettings()

    def connection(self) -> tuple[Any, ...]:
        """Equal for settings that reach the same server in the same way, whatever tools they choose."""
        env, headers = tuple(sorted(self.env.items())), tuple(sorted(self.headers.items()))
        return (self.url, headers, self.command, tuple(self.args), env, self.connect_timeout_ms)


McpServers = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")], McpServerSettings]


def call_name(server: str, name: str) -> str:
    """A name as models take it: `getHours` and `get-hours` are get_hours; `2day` of `clinic` is clinic_2day."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    plain = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    return (plain if plain[:1].isalpha() else f"{server}_{plain}")[:_LONGEST_NAME].strip("_")


def known_names(servers: Mapping[str, McpServerSettings]) -> frozenset[str]:
    """What the tools that are named are called; those of `tools: all` are known only once the server lists them."""
    named = [(server, *one) for server, settings in servers.items() for one in settings.tools.items()]
    return frozenset(settings.rename or call_name(server, tool) for server, tool, settings in named)
