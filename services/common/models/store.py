"""Where models lie on this machine, and whether they are what the catalogue says."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from services.common.models.catalogue import CATALOGUE, Model, ModelFile, find

# Beside a model's files: what was hashed, and the size and time of each file at that moment.
STAMP = ".verified.json"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w./-]+)?")


class ModelMissing(FileNotFoundError):
    """A model is not there or not what it should be; the message is one line that says what to do."""

    def __init__(self, message: str) -> None:
        # One argument, so that str() is the message and not an errno.
        super().__init__(message)


class State(StrEnum):
    READY = "ready"
    MISSING = "missing"
    OVERRIDDEN = "overridden"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Status:
    """A model's state; `problem` says what is bad, or what stands in for an overridden one."""

    model: Model
    state: State
    problem: str = ""


def models_folder() -> Path:
    """$TANDEM_MODELS_DIR, or tandem/models in the user's cache folder."""
    given = os.environ.get("TANDEM_MODELS_DIR")
    if given:
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "tandem" / "models"


def locate(name: str, override: str | Path | None = None) -> Path:
    """The model's main file, or its folder, ready to load.

    `override` is another model's name, a path, or a hub id "owner/name" ("owner/name:file" for a model of one file).
    The latter two are taken as they are: whoever overrides answers for the checksum. Raises ModelMissing, and
    ModelUnknown for a name not in the catalogue.
    """
    model = find(name)
    stand_in = str(override or "").strip()
    if stand_in in (other.name for other in CATALOGUE):
        model = find(stand_in)
    elif stand_in:
        return _overridden(model, stand_in)
    return Store().locate(model)


class Store:
    """The models folder. Each model is a folder of its name, put there whole or not at all (fetch.py)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or models_folder()

    def folder_of(self, model: Model) -> Path:
        return self.folder / model.name

    def locate(self, model: Model) -> Path:
        """Raises ModelMissing."""
        status = self.check(model)
        if status.state is State.READY:
            return _installed_file(model) if model.installed else self.folder_of(model) / model.main
        if model.installed:
            raise ModelMissing(f"model {model.name}: {status.problem}; install {model.installed} again")
        found = "is not there" if status.state is State.MISSING else f"is bad ({status.problem})"
        raise ModelMissing(f"model {model.name} {found}; fetch it with `tandem models fetch {model.name}`")

    def check(self, model: Model, full: bool = False) -> Status:
        """The model's state. Hashes only what has changed since it was last hashed, or all when `full`."""
        if model.installed:
            return self._check_installed(model)
        folder = self.folder_of(model)
        if not folder.is_dir():
            return Status(model, State.MISSING)
        stamp = _stamp_of(model, folder)
        if not full and stamp is not None and stamp == _read_stamp(folder):
            return Status(model, State.READY)
        for file in model.files:
            problem = problem_of(file, folder / file.path)
            if problem:
                return Status(model, State.BAD, problem)
        write_stamp(model, folder)
        return Status(model, State.READY)

    def _check_installed(self, model: Model) -> Status:
        """Hashes the file each time: it is small, and its folder is pip's, not ours to leave a stamp in."""
        try:
            path = _installed_file(model)
        except ModelMissing as error:
            return Status(model, State.MISSING, str(error))
        problem = problem_of(model.files[0], path)
        return Status(model, State.BAD, problem) if problem else Status(model, State.READY)


def statuses(
    overrides: Mapping[str, str] | None = None,
    full: bool = False,
    store: Store | None = None,
    catalogue: tuple[Model, ...] = CATALOGUE,
) -> list[Status]:
    """The state of every model. `overrides` maps settings keys ("asr.model") to what stands there."""
    store = store or Store()
    found = []
    for model in catalogue:
        stand_in = (overrides or {}).get(model.setting or "")
        # asr.model may name a model of the catalogue: that is a choice, not an override.
        if stand_in and not any(stand_in == other.name for other in catalogue):
            found.append(Status(model, State.OVERRIDDEN, stand_in))
        else:
            found.append(store.check(model, full))
    return found


def problem_of(file: ModelFile, path: Path) -> str:
    """What is wrong with a file, or ""."""
    try:
        size = path.stat().st_size
    except OSError:
        return f"{file.path} is not there"
    if size != file.size:
        return f"{file.path} has {size} bytes, expected {file.size}"
    actual = sha256_of(path)
    return "" if actual == file.sha256 else f"{file.path} has sha256 {actual}, expected {file.sha256}"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_stamp(model: Model, folder: Path) -> None:
    """Notes that the files were hashed and are right. A folder we may not write in is hashed again each time."""
    text = json.dumps(_stamp_of(model, folder))
    temporary = folder / f"{STAMP}.{os.getpid()}"
    try:
        temporary.write_text(text)
        temporary.replace(folder / STAMP)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _stamp_of(model: Model, folder: Path) -> dict[str, list[str | int]] | None:
    stamp: dict[str, list[str | int]] = {}
    for file in model.files:
        try:
            stat = (folder / file.path).stat()
        except OSError:
            return None
        stamp[file.path] = [file.sha256, stat.st_size, stat.st_mtime_ns]
    return stamp


def _read_stamp(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return None


def _installed_file(model: Model) -> Path:
    """The file inside an installed distribution, found without importing it. Raises ModelMissing."""
    assert model.installed is not None
    try:
        files = importlib.metadata.files(model.installed) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelMissing(f"the package {model.installed} is not installed") from error
    for file in files:
        if str(file) == model.main:
            return Path(str(file.locate()))
    raise ModelMissing(f"the package {model.installed} has no {model.main}")


def _overridden(model: Model, override: str) -> Path:
    path = Path(override).expanduser()
    if path.exists():
        return path
    setting = f" (setting {model.setting})" if model.setting else ""
    if not _HUB_ID.fullmatch(override):
        raise ModelMissing(f"model {model.name}: {override} is not there{setting}")
    repository, _, file = override.partition(":")
    try:
        # Only here: most installations never ask a hub, and the import takes 0.3 s.
        from huggingface_hub import hf_hub_download, snapshot_download

        return Path(hf_hub_download(repository, file) if file else snapshot_download(repository))
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelMissing(
            f"model {model.name}: {override} is neither a path here nor could it be had from the hub{setting}: {first}"
        ) from error
