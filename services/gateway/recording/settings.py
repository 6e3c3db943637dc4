"""Settings of recordings."""

import base64
import binascii
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, model_validator

from services.common.settings import Key, Settings, hidden_mistake, mistake_at
from services.gateway.recording.keys import KEY_BYTES, KeyRing
from services.gateway.secret import Password, settings_folder


def _switch(given: Any) -> Any:
    # YAML 1.1 reads on and off as true and false.
    return {True: "on", False: "off"}[given] if isinstance(given, bool) else given


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    return settings_folder(info) / path.expanduser()


def _key(secret: SecretStr) -> SecretStr:
    if decoded_key(secret) is None:
        raise hidden_mistake(
            f"expected {KEY_BYTES} random bytes in base64: make them with `openssl rand -base64 {KEY_BYTES}`"
        )
    return secret


def decoded_key(secret: SecretStr) -> bytes | None:
    """The key that base64 text says; None when it is no base64 or has not the right length."""
    try:
        raw = base64.b64decode(secret.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == KEY_BYTES else None


_FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
RecordingMode = Annotated[Literal["off", "all"], BeforeValidator(_switch)]
"""Which calls of a trunk or route are recorded."""


class RecordingKeySettings(Settings):
    id: str = Field(
        pattern="^[A-Za-z0-9_.-]{1,32}$",
        description="Stands in clear in each file that this key opens. Never give an id to another key.",
    )
    key: Annotated[Password, AfterValidator(_key)] = Field(
        description="32 random bytes in base64, as env:NAME or file:/path. Whoever has it hears every call: keep a "
        "copy where the recordings are not. Lost, the recordings are lost."
    )


class RecordingSettings(Settings):
    """Recordings of calls, encrypted where they lie."""

    mode: RecordingMode = Field(
        default="off",
        description="Calls of trunks and routes that do not say it themselves. Off: in most countries a call may be "
        "recorded only with a reason and with the caller's knowledge.",
    )
    folder: _FilePath | None = Field(
        default=None,
        description="Where recordings are kept, in a folder a day (UTC). On a disk of its own a flood of calls fills "
        "nothing else.",
    )
    format: Literal["wav", "opus"] = Field(
        default="wav",
        description="wav: exact, 115 MB an hour of call at 8 kHz. opus: about 18 MB, and 1.5 % of a core for each call "
        "that is being recorded; wants the package soundfile.",
    )
    wav_encoding: Literal["pcm", "ulaw"] = Field(
        default="pcm",
        description="ulaw halves a WAV. A call that was µ-law on the line loses nothing by it.",
    )
    consent: Literal["none", "prompt"] = Field(
        default="none",
        description="prompt: `consent_prompt` is played before the agent speaks. none: callers know it from elsewhere.",
    )
    consent_prompt: _FilePath | None = Field(
        default=None, description="WAV, mono, 16 bit, 8 or 16 kHz: what tells callers that they are recorded."
    )
    encryption: Annotated[Literal["on", "off"], BeforeValidator(_switch)] = Field(
        default="on",
        description="off: whoever reads the disk hears the calls. Said on purpose only; without a key and without "
        "`encryption: off` no call is recorded.",
    )
    keys: list[RecordingKeySettings] = Field(
        default=[],
        description="The first one seals new recordings. The others open older ones: to change the key put the new one "
        "in front, and drop the old one when `retention_days` are over.",
    )
    retention_days: int | None = Field(
        default=30,
        ge=1,
        le=36500,
        description="Older recordings are erased, counted from the call's start; null keeps them for ever, which "
        "privacy laws seldom allow.",
    )
    max_gb: float | None = Field(
        default=None,
        gt=0,
        description="All recordings together, in 10^9 bytes: the oldest are erased first. Without it a full disk ends "
        "recordings, never calls.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "RecordingSettings":
        seen: dict[str, int] = {}
        secrets: set[str] = set()
        for index, one in enumerate(self.keys):
            if one.id in seen:
                raise mistake_at(("keys", index, "id"), f"there is already a key {one.id}")
            if one.key.get_secret_value() in secrets:
                raise mistake_at(("keys", index, "key"), "is given under another id too: make a new one")
            seen[one.id] = index
            secrets.add(one.key.get_secret_value())
        if self.consent == "prompt" and self.consent_prompt is None:
            raise mistake_at(("consent",), "prompt wants consent_prompt: which WAV is played?")
        if self.consent == "none" and self.consent_prompt is not None:
            raise mistake_at(("consent_prompt",), "has no use while consent is none")
        if self.format == "opus" and "wav_encoding" in self.model_fields_set:
            raise mistake_at(("wav_encoding",), "has no use beside format: opus")
        if self.mode != "off":
            unready = self.unready()
            if unready is not None:
                raise mistake_at(*unready)
        return self

    def unready(self) -> tuple[Key, str] | None:
        """What keeps a call from being recorded, and the key below `recording` at which it is to be mended."""
        if self.folder is None:
            return ("folder",), "missing: where are the recordings kept?"
        if self.encryption == "on" and not self.keys:
            return ("keys",), (
                "recordings want a key: make one with `openssl rand -base64 32` and name it here as env:NAME or "
                "file:/path; or say `encryption: off`, and whoever reads the disk hears the calls"
            )
        if self.format == "opus" and find_spec("soundfile") is None:
            return ("format",), "opus wants the package soundfile, which is not installed: install it, or say wav"
        return None

    def key_ring(self) -> KeyRing:
        """The keys in the order of the settings."""
        return KeyRing({one.id: decoded_key(one.key) or b"" for one in self.keys})
