"""Settings files: YAML read into one typed model a service, with mistakes explained by file, line and key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

Key = tuple[str | int, ...]


class Settings(BaseModel):
    """Base of every settings model: an unknown key is fatal, a loaded value never changes."""

    # An input may be a password.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def split_address(text: str) -> tuple[str, int]:
    """`host:port`, IPv6 in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or not 0 <= int(port) <= 65535:
        raise ValueError("expected host:port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("expected host:port, with brackets around an IPv6 address: [2001:db8::1]:5060")
    return host.removeprefix("[").removesuffix("]"), int(port)


class CommonSettings(Settings):
    """The top level of a settings file: the same for every service."""

    nats_url: str = Field("nats://127.0.0.1:4222", description="The NATS server or cluster, comma-separated.")
    otlp_endpoint: str | None = Field(
        None, description="OTLP/gRPC collector for traces, e.g. http://127.0.0.1:4317; nothing is exported without one."
    )
    trace_sample_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Of the calls, how many have their trace exported whatever happens in them. All by default: one "
        "that somebody asks about is then there, and a trace is some 100 kB. Below 1 the others are exported only "
        "where something went wrong, was slow or was handed over.",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Lines of log: JSON for machines, text for people. auto: text where stderr is a terminal."
    )
    record_pii: bool = Field(
        False,
        description="Put what people said into spans, under `.pii.` names, and numbers into logs. Off: both go far.",
    )


class ServiceSettings(CommonSettings):
    """Base of every service's settings: the common ones, and what each service's section has."""

    metrics_address: str | None = Field(
        None,
        description="Where Prometheus fetches the service's metrics, host:port; 9464 is usual. Off by default. They "
        "tell how many calls there are and whose trunks: keep it inside.",
    )

    @field_validator("metrics_address")
    @classmethod
    def _metrics(cls, text: str | None) -> str | None:
        if text is not None:
            split_address(text)
        return text


class SettingsInvalid(ValueError):
    """One or more mistakes in a settings file; `str()` is a line a mistake: file:line: key: what is expected."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


Model = TypeVar("Model", bound=BaseModel)
_PLACED = "placed"


def mistake_at(key: Key, what: str) -> PydanticCustomError:
    """To be raised by a validator of a whole model: the mistake is at `key` below it, and its line is that key's."""
    return PydanticCustomError(_PLACED, "{what}", {"what": what, "key": key})


def hidden_mistake(what: str) -> PydanticCustomError:
    """To be raised by a validator whose input must not be shown."""
    return mistake_at((), what)


class YamlFile:
    """A YAML file's value together with the line on which each key stands."""

    def __init__(self, path: Path, text: str) -> None:
        """Raises SettingsInvalid when the text is not YAML or not a mapping."""
        self.path = path
        self.lines: dict[Key, int] = {}
        self.twice: list[str] = []
        """Mistakes: YAML takes the last of two keys, and whoever wrote them meant both."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            problem = getattr(error, "problem", None) or str(error)
            raise SettingsInvalid([f"{path}:{line}: not YAML: {problem}"]) from error
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise SettingsInvalid([f"{path}:1: expected `key: value` lines, found {type(value).__name__}"])
        self.value: dict[str, Any] = value
        if root is not None:
            self._note_lines(root, ())

    def _note_lines(self, node: yaml.Node, at: Key) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, child in node.value:
                here = (*at, key.value)
                if here in self.lines:
                    name, first = ".".join(str(part) for part in here), self.lines[here]
                    line = key.start_mark.line + 1
                    self.twice.append(f"{self.path}:{line}: {name}: the key is given twice, first on line {first}")
                self.lines[here] = key.start_mark.line + 1
                self._note_lines(child, here)
        elif isinstance(node, yaml.SequenceNode):
            for index, child in enumerate(node.value):
                here = (*at, index)
                self.lines[here] = child.start_mark.line + 1
                self._note_lines(child, here)

    def line_of(self, key: Key) -> int:
        """The line of a key, or of the nearest key above it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def mistake(self, key: Key, what: str) -> str:
        """`file:line: key: what is expected`."""
        name = ".".join(str(part) for part in key) or "file"
        return f"{self.path}:{self.line_of(key)}: {name}: {what}"

    def validate(self, model: type[Model], value: Mapping[str, Any] | None = None, at: Key = ()) -> Model:
        """The (part of the) file as a model. Raises SettingsInvalid with every mistake in it."""
        try:
            context = {"folder": self.path.parent}
            return model.model_validate(self.value if value is None else value, context=context)
        except ValidationError as error:
            raise SettingsInvalid([self._explain(one, at) for one in error.errors()]) from error

    def _explain(self, error: Any, at: Key) -> str:
        key = (*at, *error["loc"])
        if error["type"] == "extra_forbidden":
            return self.mistake(key, "unknown key")
        if error["type"] == "missing":
            return self.mistake(key, "missing")
        if error["type"] == _PLACED:
            return self.mistake((*key, *error["ctx"]["key"]), error["ctx"]["what"])
        message = str(error["msg"]).removeprefix("Value error, ")
        given = error.get("input")
        shown = "" if isinstance(given, dict | list) else f", not {given!r}"
        return self.mistake(key, message[:1].lower() + message[1:] + shown)


def read_yaml(path: Path) -> YamlFile:
    """Raises SettingsInvalid, also when the file can't be read."""
    try:
        return YamlFile(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid([f"{path}: cannot be read: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid([f"{path}: not UTF-8 at byte {error.start}"]) from error
