"""Recorded calls on the shelf, as `tandem recordings` finds, shows and erases them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from services.common.settings import SettingsInvalid, read_yaml
from services.gateway.recording import shelf
from services.gateway.recording.keys import KeyRing, KeyUnknown, KeyWrong, caller_hash
from services.gateway.recording.layout import Header, NoRecording, RecordingDamaged, read_header
from services.gateway.recording.playback import Contents, Glance, examine, glance
from services.gateway.recording.settings import RecordingSettings

UNREADABLE = (NoRecording, RecordingDamaged, KeyUnknown, KeyWrong, OSError)
"""What keeps one recording from being opened, while others may open."""


class NotFound(Exception):
    """No recording, or more than one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where recordings lie, and the keys that open them."""

    folder: Path
    keys: KeyRing
    encrypted: bool


def shelf_of(path: Path) -> Shelf:
    """The shelf of a settings file. Only its `gateway.recording` is read: the rest may want secrets that are not here.

    Raises SettingsInvalid.
    """
    file = read_yaml(path)
    gateway = file.value.get("gateway") or {}
    section = gateway.get("recording") if isinstance(gateway, dict) else None
    at = ("gateway", "recording")
    if not isinstance(section, dict):
        raise SettingsInvalid([file.mistake(at, "missing: recordings are found by its folder and keys")])
    settings = file.validate(RecordingSettings, section, at=at)
    if settings.folder is None:
        raise SettingsInvalid([file.mistake((*at, "folder"), "missing: where are the recordings kept?")])
    return Shelf(settings.folder, settings.key_ring(), settings.encryption == "on")


@dataclass(frozen=True, slots=True)
class Listed:
    """A recording in a list. `problem` says why no more is known; `being_written` that its call goes on."""

    kept: shelf.Kept
    size_bytes: int
    glance: Glance | None
    being_written: bool
    problem: str

    @property
    def state(self) -> str:
        if self.being_written:
            return "being written"
        if self.glance is None:
            return "cannot be opened"
        return "complete" if self.glance.end is not None else "unfinished"


def listed(where: Shelf) -> list[Listed]:
    """All recordings, oldest first. Raises OSError when the folder can't be read."""
    return [_listed(one, where.keys) for one in shelf.all_kept(where.folder)]


def _listed(one: shelf.Kept, keys: KeyRing) -> Listed:
    found, live, size, problem = None, False, 0, ""
    try:
        size = one.path.stat().st_size
        live = shelf.being_written(one.path)
        found = glance(one.path, keys)
    except UNREADABLE as error:
        problem = explained(error)
    return Listed(one, size, found, live, problem)


def explained(error: Exception) -> str:
    """Why a recording does not open."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def table(found: Iterable[Listed]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("started", "length", "call", "trunk", "direction", "sound", "size", "state"):
        shown.add_column(column, no_wrap=True, justify="right" if column in ("length", "size") else "left")
    for one in found:
        meta = one.glance.meta if one.glance else None
        end = one.glance.end if one.glance else None
        state = one.state
        if one.problem:
            state = f"{state}: {one.problem}"
        elif end is not None and end.reason != "call_ended":
            state = f"{state}: {end.reason}"
        shown.add_row(
            f"{one.kept.started.astimezone():%Y-%m-%d %H:%M:%S}",
            clock(end.length_us) if end else "",
            one.kept.call_id,
            meta.trunk if meta else "",
            meta.direction if meta else "",
            f"{meta.encoding} {meta.sample_rate_hz // 1000} kHz" if meta else "",
            f"{one.size_bytes / 1e6:.1f} MB",
            state,
        )
    return shown


def as_object(one: Listed) -> dict[str, Any]:
    """A list's entry for programs; `end` is null while there is none."""
    found = one.glance
    return {
        "call_id": one.kept.call_id,
        "started": one.kept.started.isoformat(),
        "path": str(one.kept.path),
        "size_bytes": one.size_bytes,
        "state": one.state,
        "problem": one.problem or None,
        "key_id": found.header.key.key_id if found and found.header.key else None,
        "meta": asdict(found.meta) if found else None,
        "end": asdict(found.end) if found and found.end else None,
    }


def details(found: Contents) -> dict[str, Any]:
    """What is known of an opened recording, for programs."""
    return {
        "state": found.state,
        "problem": found.problem or None,
        "length_us": found.length_us,
        "key_id": found.header.key.key_id if found.header.key else None,
        "meta": asdict(found.meta),
        "pauses": [asdict(pause) for pause in found.pauses],
        "end": asdict(found.end) if found.end else None,
    }


def clock(us: int) -> str:
    """0:03:07"""
    seconds = us // 1_000_000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def find(where: Shelf, wanted: str) -> shelf.Kept:
    """The one recording of a call, or of a path. Raises NotFound, OSError."""
    path = Path(wanted)
    if path.suffix == shelf.SUFFIX:
        kept = shelf.kept_at(path)
        if kept is None or not path.is_file():
            raise NotFound(f"{wanted}: there is no such recording")
        return kept
    found = of_call(where, wanted)
    if not found:
        raise NotFound(f"no recording of the call {wanted} in {where.folder}; see `tandem recordings list`")
    if len(found) > 1:
        paths = ", ".join(str(one.path) for one in found)
        raise NotFound(f"the call {wanted} has {len(found)} recordings; name one of them by its path: {paths}")
    return found[0]


def of_call(where: Shelf, call_id: str) -> list[shelf.Kept]:
    """Raises OSError."""
    return [one for one in shelf.all_kept(where.folder) if one.call_id == call_id]


@dataclass(slots=True)
class OfCaller:
    """Recordings of one number, and those of which it can't be told: by path, with the reason."""

    found: list[shelf.Kept] = field(default_factory=list)
    untold: list[tuple[Path, str]] = field(default_factory=list)


def of_caller(where: Shelf, number: str) -> OfCaller:
    """Found by keyed hashes in the headers, so each key that sealed recordings must be there. Raises OSError."""
    plain_key = shelf.caller_key(where.folder)
    hashes: dict[str, str] = {}
    result = OfCaller()
    for one in shelf.all_kept(where.folder):
        try:
            with one.path.open("rb") as file:
                header, _ = read_header(file)
            if header.caller and header.caller == _hash(where.keys, plain_key, header, number, hashes):
                result.found.append(one)
        except UNREADABLE as error:
            result.untold.append((one.path, explained(error)))
    return result


def _hash(keys: KeyRing, plain_key: bytes | None, header: Header, number: str, hashes: dict[str, str]) -> str:
    key_id = header.key.key_id if header.key else ""
    if key_id not in hashes:
        if header.key is not None:
            hashes[key_id] = keys.caller_hash(number, key_id)
        elif plain_key is not None:
            hashes[key_id] = caller_hash(number, plain_key)
        else:
            raise KeyUnknown(f"{shelf.CALLER_KEY} is not in the folder: whose call it was cannot be told")
    return hashes[key_id]


@dataclass(frozen=True, slots=True)
class Verified:
    kept: shelf.Kept
    length_us: int
    state: str
    problem: str


def verified_object(one: Verified) -> dict[str, Any]:
    """A verified recording for programs."""
    return {
        "path": str(one.kept.path),
        "call_id": one.kept.call_id,
        "state": one.state,
        "length_us": one.length_us,
        "problem": one.problem or None,
    }


def verify(one: shelf.Kept, where: Shelf) -> Verified:
    """Opens every record of it."""
    try:
        found = examine(one.path, where.keys)
    except UNREADABLE as error:
        return Verified(one, 0, "cannot be opened", explained(error))
    problem = found.problem
    if not problem and found.meta.call_id != one.call_id:
        problem = f"it is of the call {found.meta.call_id}: the file was renamed"
    if not problem and where.encrypted and not found.encrypted:
        problem = "it is not encrypted, so nothing proves that nobody changed it"
    return Verified(one, found.length_us, found.state, problem)
