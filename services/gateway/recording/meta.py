"""What is told about a recording beside its sound: JSON in its META, MARK and END records."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from services.gateway.recording.sound import CHANNELS, Encoding

Consent = Literal["none", "prompt"]


@dataclass(frozen=True, slots=True)
class About:
    """A call, as its recording is told of it. Times are microseconds; `call_time_us` is that of the first tick.

    `caller` is the number in clear: only its keyed hash reaches the disk. `consent` is what the caller was told.
    """

    call_id: str
    started_unix_us: int
    sample_rate_hz: int
    trunk: str = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    caller: str = ""
    consent: Consent = "none"
    call_time_us: int = 0


@dataclass(frozen=True, slots=True)
class Meta:
    """META: what is known when the recording begins."""

    call_id: str
    started_unix_us: int
    call_time_us: int
    sample_rate_hz: int
    encoding: Encoding
    trunk: str
    direction: str
    consent: str
    channels: int = CHANNELS
    left: str = "caller"
    right: str = "agent"

    def encoded(self) -> bytes:
        return _json(asdict(self))


@dataclass(frozen=True, slots=True)
class Pause:
    """Both channels are silence from `from_us` on, up to `to_us`; None where the recording ended paused."""

    from_us: int
    to_us: int | None


@dataclass(frozen=True, slots=True)
class End:
    """END: `reason` is why the recording ended, `length_us` how much sound it holds, the `pauses` included."""

    reason: str
    length_us: int
    pauses: int

    def encoded(self) -> bytes:
        return _json(asdict(self))


def meta_of(about: About, encoding: Encoding) -> Meta:
    return Meta(
        about.call_id,
        about.started_unix_us,
        about.call_time_us,
        about.sample_rate_hz,
        encoding,
        about.trunk,
        about.direction,
        about.consent,
    )


def parsed_meta(body: bytes) -> Meta:
    """Raises ValueError. The record is authentic; it may be of a later version."""
    fields = _fields(body)
    try:
        meta = Meta(**{name: fields[name] for name in Meta.__slots__})
    except KeyError as error:
        raise ValueError(f"its metadata has no {error.args[0]}") from None
    if meta.encoding not in ("pcm", "ulaw", "opus"):
        raise ValueError(f"its sound is {meta.encoding}, which this version does not know")
    if meta.sample_rate_hz <= 0:
        raise ValueError("its metadata has no sample rate")
    return meta


def mark(event: Literal["pause", "resume"], call_time_us: int) -> bytes:
    return _json({"event": event, "call_time_us": call_time_us})


def parsed_mark(body: bytes) -> tuple[str, int]:
    """Raises ValueError."""
    fields = _fields(body)
    try:
        return str(fields["event"]), int(fields["call_time_us"])
    except (KeyError, TypeError):
        raise ValueError("a mark says not what it marks") from None


def parsed_end(body: bytes) -> End:
    """Raises ValueError."""
    fields = _fields(body)
    try:
        return End(str(fields["reason"]), int(fields["length_us"]), int(fields["pauses"]))
    except (KeyError, TypeError):
        raise ValueError("its end says not why it ended") from None


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(body: bytes) -> dict[str, Any]:
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("expected a JSON object")
    return fields
