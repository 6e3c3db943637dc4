"""The values that ${NAME} has in agent folders, outside of a running brain."""

from collections.abc import Iterable
from pathlib import Path

from services.common.settings import SettingsInvalid
from tandem import settings


def agent_variables(settings_file: Path | None, given: Iterable[str]) -> dict[str, str]:
    """What `tandem up` gives to its brain with these settings, and `given` ("NAME=value") on top.

    Raises SettingsInvalid for settings with mistakes, and for what is no NAME=value.
    """
    stack = settings.read(settings_file)
    values = {"ESCALATION_DESTINATION": stack.up.escalation_destination}
    if stack.up.business_api is not None:
        values["BUSINESS_API_URL"] = f"http://{stack.up.business_api}"
    values |= stack.value("brain", "variables")
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsInvalid([f"--set {one}: expected NAME=value"])
        values[name] = value
    return values


def agents_folder(settings_file: Path | None) -> Path:
    """Where the brain finds its agents. Raises SettingsInvalid."""
    return Path(settings.read(settings_file).value("brain", "agents_dir"))
