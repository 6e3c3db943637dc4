"""One settings file for a whole stack: common keys, a section a service, and `up` for what only `tandem up` runs."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from services.common.service import SECTIONS, read_section
from services.common.settings import ServiceSettings, Settings, SettingsInvalid, YamlFile, read_yaml
from services.gateway.settings import with_absolute_paths

SERVICES = ("gateway", "asr", "brain", "tts", "escalation")
UP = "up"


class UpSettings(Settings):
    """What `tandem up` starts besides the five services."""

    business_api: str | None = Field(
        default="127.0.0.1:7306",
        description="Where the front desk's sample business API listens; null when agents use a real one.",
    )
    business_api_faults: bool = Field(
        default=False,
        description="The sample business API goes wrong as PUT /faults tells it (agents/front_desk/api/faults.py): for "
        "trying out what callers notice. Loopback only.",
    )
    escalation_destination: str = Field(
        default="sip:reception@127.0.0.1:5080",
        description="Whom the front desk puts callers through to: ${ESCALATION_DESTINATION} in agents/front_desk. "
        "The default is nobody's telephone: a REFER to it fails and the caller comes back to the agent.",
    )
    traces_address: str | None = Field(
        default="127.0.0.1:16686",
        description="Where Jaeger's query API is answered from the embedded trace store, for the Jaeger UI or Grafana "
        "(docs/operations/traces.md); null for nowhere. There is no password: keep it on loopback. Nothing listens "
        "when traces go to a collector.",
    )

    @field_validator("traces_address")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        host, _, port = (value or "").rpartition(":")
        if value is not None and not (host and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"expected host:port, as 127.0.0.1:16686, not {value!r}")
        return value


@dataclass(frozen=True, slots=True)
class StackSettings:
    """A checked settings file. `written` stands in it (without `up`); `sections` have their defaults."""

    common: ServiceSettings
    up: UpSettings
    sections: dict[str, ServiceSettings]
    written: dict[str, Any]

    def value(self, service: str, key: str, default: Any = None) -> Any:
        """A setting of a service, with its default."""
        return getattr(self.sections[service], key, default)


def section_model(service: str) -> type[ServiceSettings]:
    """`services.<service>.settings.<Service>Settings`."""
    module = import_module(f"services.{service}.settings")
    model: type[ServiceSettings] = getattr(module, f"{service.capitalize()}Settings")
    return model


def read(path: Path | None) -> StackSettings:
    """A settings file, or the defaults. Raises SettingsInvalid with every mistake of every section."""
    return check(read_yaml(path) if path else YamlFile(Path("defaults"), ""))


def check(file: YamlFile) -> StackSettings:
    """Raises SettingsInvalid with every mistake of every section."""
    mistakes: list[str] = []
    up_value = file.value.get(UP) or {}
    up = UpSettings()
    if not isinstance(up_value, dict):
        mistakes.append(file.mistake((UP,), "expected `key: value` lines"))
    else:
        try:
            up = file.validate(UpSettings, up_value, at=(UP,))
        except SettingsInvalid as error:
            mistakes += error.mistakes
    sections: dict[str, ServiceSettings] = {}
    for service in SERVICES:
        try:
            sections[service] = read_section(file, service, section_model(service))
        except SettingsInvalid as error:
            # A mistake in the common keys is found once a section.
            mistakes += [line for line in error.mistakes if line not in mistakes]
    if mistakes:
        raise SettingsInvalid(mistakes)
    common = {key: value for key, value in file.value.items() if key in ServiceSettings.model_fields}
    written = {key: value for key, value in file.value.items() if key in SECTIONS and key != UP} | common
    if written.get("gateway"):
        # The services read a copy of the file that lies elsewhere.
        written["gateway"] = with_absolute_paths(written["gateway"], file.path.parent)
    return StackSettings(file.validate(ServiceSettings, common), up, sections, written)
