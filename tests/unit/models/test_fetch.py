"""Invariant: a model is in the store whole and right, or not at all."""

import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from services.common.models.catalogue import Model, ModelFile, Package
from services.common.models.fetch import FetchFailed, ensure
from services.common.models.store import State, Store

PARTS = (b"first half, " * 50, b"second half" * 50)
NOTICE = b"licence of the tiny model"


def write_wheel(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    every = {
        **{f"{module}/{member}": content for member, content in members.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in every.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{info}/RECORD", "".join(f"{member},,\n" for member in every))
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pin(path: Path, name: str, version: str) -> Package:
    return Package(name, version, sha256(path.read_bytes()), path.stat().st_size)


def two_part_model(folder: Path) -> tuple[Model, dict[str, Path]]:
    """The model `tiny` and the wheels that carry it, by package name."""
    wheels = {
        "tandem-tiny-part1": write_wheel(
            folder, "tandem-tiny-part1", "1.0.0", {"model.bin.1": PARTS[0], "LICENSE": NOTICE}
        ),
        "tandem-tiny-part2": write_wheel(folder, "tandem-tiny-part2", "1.0.0", {"model.bin.2": PARTS[1]}),
    }
    whole = b"".join(PARTS)
    members = (
        ("tandem-tiny-part1", "tandem_tiny_part1/model.bin.1"),
        ("tandem-tiny-part2", "tandem_tiny_part2/model.bin.2"),
    )
    model = Model(
        name="tiny",
        purpose="tests",
        licence="MIT",
        packages=tuple(pin(path, name, "1.0.0") for name, path in wheels.items()),
        files=(
            ModelFile("model.bin", members, len(whole), sha256(whole)),
            ModelFile("LICENSE", (("tandem-tiny-part1", "tandem_tiny_part1/LICENSE"),), len(NOTICE), sha256(NOTICE)),
        ),
        main="model.bin",
        default=True,
    )
    return model, wheels


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def copying(wheels: dict[str, Path]) -> Callable[[Package, Path, Callable[[int], None]], Path]:
    """A download that takes the archives from a folder."""

    def download(package: Package, folder: Path, advance: Callable[[int], None]) -> Path:
        advance(package.size // 2)
        return Path(shutil.copy(wheels[package.name], folder))

    return download


def leftovers(store: Store) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir() if path.name != ".lock")


def test_parts_are_joined_in_order_and_kept_with_the_notice(tmp_path: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(tmp_path / "w")
    assert ensure(["tiny"], console, store, (model,), copying(wheels)) == ["tiny"]
    assert store.locate(model).read_bytes() == b"".join(PARTS)
    assert (store.folder_of(model) / "LICENSE").read_bytes() == NOTICE
    assert leftovers(store) == ["tiny"]
    assert ensure(["tiny"], console, store, (model,), copying({})) == [], "what is ready is not fetched again"


def test_wrong_archive_is_refused_with_expected_and_actual(tmp_path: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(tmp_path / "w")
    wheels["tandem-tiny-part2"].write_bytes(b"not what was pinned")
    with pytest.raises(FetchFailed) as refused:
        ensure(None, console, store, (model,), copying(wheels))
    assert str(refused.value) == (
        f"package tandem-tiny-part2 1.0.0: wrong checksum: expected sha256 {model.packages[1].sha256}, "
        f"got {sha256(b'not what was pinned')}; refused and deleted"
    )
    assert leftovers(store) == []


def test_wrong_joined_file_is_refused(tmp_path: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(tmp_path / "w")
    wrong = replace(model, files=(replace(model.files[0], sha256="0" * 64), model.files[1]))
    with pytest.raises(
        FetchFailed, match=r"model tiny: model\.bin: wrong checksum: expected sha256 0{64}, got [0-9a-f]"
    ):
        ensure(None, console, store, (wrong,), copying(wheels))
    assert leftovers(store) == []


def test_missing_part_is_named(tmp_path: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(tmp_path / "w")
    file = replace(model.files[0], members=(*model.files[0].members, ("tandem-tiny-part2", "model.bin.3")))
    with pytest.raises(FetchFailed, match=r"package tandem-tiny-part2 has no whole model\.bin\.3"):
        ensure(None, console, store, (replace(model, files=(file,)),), copying(wheels))
    assert leftovers(store) == []


def test_interrupted_fetch_leaves_nothing(tmp_path: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(tmp_path / "w")

    def interrupted(package: Package, folder: Path, advance: Callable[[int], None]) -> Path:
        if package.name == "tandem-tiny-part2":
            (folder / "half.whl").write_bytes(b"half")
            raise KeyboardInterrupt
        return copying(wheels)(package, folder, advance)

    with pytest.raises(KeyboardInterrupt):
        ensure(None, console, store, (model,), interrupted)
    assert leftovers(store) == []
    assert store.check(model).state is State.MISSING


def test_remains_of_a_killed_fetch_are_cleared(tmp_path: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(tmp_path / "w")
    (store.folder / ".fetch-tiny-1/model").mkdir(parents=True)
    ensure(None, console, store, (model,), copying(wheels))
    assert leftovers(store) == ["tiny"]


def test_bad_model_is_replaced(tmp_path: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(tmp_path / "w")
    ensure(None, console, store, (model,), copying(wheels))
    store.locate(model).write_bytes(b"overwritten")
    assert store.check(model).state is State.BAD
    assert ensure(None, console, store, (model,), copying(wheels)) == ["tiny"]
    assert store.check(model, full=True).state is State.READY
    assert leftovers(store) == ["tiny"]


def test_npm_tarball_is_opened(tmp_path: Path, store: Store, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "voices-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as tarball:
        entry = tarfile.TarInfo("package/voices/a.bin")
        entry.size = 5
        tarball.addfile(entry, io.BytesIO(b"voice"))
    package = Package("voices", "1.0.0", sha256(path.read_bytes()), path.stat().st_size, "npm")
    file = ModelFile("a.bin", (("voices", "package/voices/a.bin"),), 5, sha256(b"voice"))
    model = Model("voices", "tests", "MIT", (file,), (package,), main="a.bin", default=True)
    monkeypatch.setattr("services.common.models.fetch.shutil.which", lambda name: None)
    with pytest.raises(FetchFailed, match=r"needs the npm package voices 1\.0\.0, and there is no npm on the PATH"):
        ensure(None, console, store, (model,), copying({"voices": path}))
    monkeypatch.setattr("services.common.models.fetch.shutil.which", lambda name: "/bin/npm")
    ensure(None, console, store, (model,), copying({"voices": path}))
    assert store.locate(model).read_bytes() == b"voice"


@pytest.fixture
def only_local_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip sees the folder of wheels and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "w"))
    return tmp_path / "w"


def test_pip_brings_wheels_by_name(only_local_wheels: Path, store: Store, console: Console) -> None:
    model, _ = two_part_model(only_local_wheels)
    assert ensure(None, console, store, (model,)) == ["tiny"]
    assert store.locate(model).read_bytes() == b"".join(PARTS)


def test_pip_refuses_another_hash_and_the_line_says_which(
    only_local_wheels: Path, store: Store, console: Console
) -> None:
    model, _ = two_part_model(only_local_wheels)
    actual = model.packages[0].sha256
    wrong = replace(model, packages=(replace(model.packages[0], sha256="1" * 64), model.packages[1]))
    with pytest.raises(FetchFailed) as refused:
        ensure(None, console, store, (wrong,))
    assert f"wrong checksum: expected sha256 {'1' * 64}, got {actual}" in str(refused.value)
    assert leftovers(store) == []


def test_pip_without_the_package_says_so_in_one_line(only_local_wheels: Path, store: Store, console: Console) -> None:
    model, wheels = two_part_model(only_local_wheels)
    wheels["tandem-tiny-part2"].unlink()
    with pytest.raises(
        FetchFailed, match=r"package tandem-tiny-part2 1\.0\.0: pip: No matching distribution"
    ) as refused:
        ensure(None, console, store, (model,))
    assert "\n" not in str(refused.value)
    assert leftovers(store) == []
