"""Passwords in settings: as they stand, from the environment, or from a file; never in a log, a repr or a message."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr, ValidationInfo

from services.common.settings import hidden_mistake

ENVIRONMENT, FILE = "env:", "file:"


def _read(given: Any, info: ValidationInfo) -> SecretStr:
    if isinstance(given, SecretStr):
        return given
    if not isinstance(given, str):
        raise hidden_mistake("expected text: put the password in quotes")
    secret = given
    if given.startswith(ENVIRONMENT):
        name = given.removeprefix(ENVIRONMENT)
        secret = os.environ.get(name, "")
        if not secret:
            raise hidden_mistake(f"the environment variable {name} is not set")
    elif given.startswith(FILE):
        path = settings_folder(info) / given.removeprefix(FILE)
        try:
            # Editors and Kubernetes secrets made from a file leave a line end.
            secret = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise hidden_mistake(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not secret:
        raise hidden_mistake("the password is empty")
    if any(ord(one) < 0x20 or ord(one) == 0x7F for one in secret):
        raise hidden_mistake("the password holds a control character")
    return SecretStr(secret)


def settings_folder(info: ValidationInfo) -> Path:
    """Where the settings file lies: what relative paths in it start from."""
    return Path((info.context or {}).get("folder", "."))


Password = Annotated[SecretStr, BeforeValidator(_read)]
"""`literal`, `env:NAME` or `file:/path` (a relative path starts at the settings file)."""
