"""Where models are found, and how little is read to trust them."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from services.common.models import CATALOGUE, ModelMissing, ModelUnknown, State, find, locate
from services.common.models.catalogue import Model, ModelFile
from services.common.models.store import STAMP, Store, models_folder, statuses
from tandem.commands import models as command

CONTENT = b"weights"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def model() -> Model:
    file = ModelFile("one.onnx", (), len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    return Model("one", "tests", "MIT", (file,), main="one.onnx")


def put(store: Store, model: Model, content: bytes) -> Path:
    path = store.folder_of(model) / model.main
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_missing_says_how_to_fetch(store: Store, model: Model) -> None:
    with pytest.raises(ModelMissing, match="model one is not there; fetch it with `tandem models fetch one`"):
        store.locate(model)


def test_unstamped_model_is_hashed_once(store: Store, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(store, model, CONTENT)
    assert store.locate(model) == path
    assert (store.folder_of(model) / STAMP).exists()
    monkeypatch.setattr("services.common.models.store.sha256_of", lambda path: pytest.fail("hashed again"))
    assert store.locate(model) == path


def test_same_size_other_bytes_are_found_by_their_time(store: Store, model: Model) -> None:
    path = put(store, model, CONTENT)
    store.locate(model)
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelMissing, match=r"is bad \(one\.onnx has sha256 [0-9a-f]{64}, expected"):
        store.locate(model)


def test_full_check_does_not_trust_the_stamp(store: Store, model: Model) -> None:
    path = put(store, model, CONTENT)
    store.locate(model)
    before = path.stat()
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.check(model).state is State.READY, "the cheap check can't see this"
    assert store.check(model, full=True).state is State.BAD


def test_short_file_is_bad(store: Store, model: Model) -> None:
    put(store, model, b"weig")
    assert store.check(model).problem == "one.onnx has 4 bytes, expected 7"


@pytest.mark.parametrize("stamp", ["", "null", "{}", "[]", '{"one.onnx": null}', "\0"])
def test_spoilt_stamp_is_not_trusted(store: Store, model: Model, stamp: str) -> None:
    put(store, model, b"WEIGHTS")
    (store.folder_of(model) / STAMP).write_text(stamp)
    assert store.check(model).state is State.BAD


def test_override_is_taken_as_it_is(tmp_path: Path) -> None:
    assert locate("silero-vad", str(tmp_path)) == tmp_path
    with pytest.raises(ModelMissing, match=r"/nowhere/at/all is not there \(setting asr.vad_model\)"):
        locate("silero-vad", "/nowhere/at/all")


def test_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda repository: (_ for _ in ()).throw(OSError("offline\nmore"))
    )
    with pytest.raises(ModelMissing, match=r"neither a path here nor could it be had from the hub .*: offline$"):
        locate("whisper-base", "someone/some-model")


def test_unknown_name() -> None:
    with pytest.raises(ModelUnknown, match="known are whisper-base"):
        locate("wisper")


def test_folder_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MODELS_DIR", "/srv/models")
    assert models_folder() == Path("/srv/models")
    monkeypatch.delenv("TANDEM_MODELS_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/cache")
    assert models_folder() == Path("/srv/cache/tandem/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert models_folder() == Path("/home/someone/.cache/tandem/models")


def test_installed_model_is_found_without_an_import() -> None:
    path = locate("hibari")
    assert path.name == "hibari.onnx"
    assert Store(Path("/nowhere")).check(find("hibari")).state is State.READY


def test_catalogue_is_whole() -> None:
    for model in CATALOGUE:
        packages = {package.name for package in model.packages}
        assert {name for file in model.files for name, _ in file.members} == packages, model.name
        assert not model.main or model.main in [file.path for file in model.files]
        assert all(len(digest) == 64 for digest in [f.sha256 for f in model.files] + [p.sha256 for p in model.packages])
        assert bool(model.packages) != bool(model.installed)


def test_overrides_show_in_the_list(store: Store) -> None:
    found = {
        s.model.name: s for s in statuses({"asr.vad_model": "/srv/vad.onnx", "asr.model": "whisper-base"}, store=store)
    }
    assert found["silero-vad"].state is State.OVERRIDDEN
    assert found["silero-vad"].problem == "/srv/vad.onnx"
    assert found["whisper-base"].state is State.MISSING


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typer:
    """Mounted as `tandem` mounts it."""
    monkeypatch.setenv("TANDEM_MODELS_DIR", str(tmp_path / "models"))
    app = Typer()
    app.add_typer(command.app, name="models")
    app.command("other")(lambda: None)
    return app


def test_list_as_json(cli: Typer) -> None:
    result = CliRunner().invoke(cli, ["models", "--json"])
    assert result.exit_code == 0
    by_name = {model["name"]: model for model in json.loads(result.stdout)["models"]}
    assert by_name["whisper-base"]["state"] == "missing"
    assert by_name["hibari"]["state"] == "ready"
    assert by_name["kokoro"]["packages"][-1] == "npm kokoro-js 1.2.1"


def test_list_is_a_line_a_model_for_a_pipe(cli: Typer) -> None:
    result = CliRunner().invoke(cli, ["models"])
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("silero-vad")]
    assert "silero-vad 6.2.3" in line
    assert "missing" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch", "nope"], "models: no model is called 'nope'"),
        (["fetch", "silero-vad"], "add --yes where nobody can be asked"),
        (["--settings", "/nowhere.yaml"], "models: /nowhere.yaml: cannot be read"),
    ],
)
def test_mistakes_exit_2_with_one_line(cli: Typer, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["models", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_verify_exits_2_on_a_bad_model(cli: Typer, tmp_path: Path) -> None:
    folder = tmp_path / "models/silero-vad"
    folder.mkdir(parents=True)
    (folder / "silero_vad.onnx").write_bytes(b"nonsense")
    result = CliRunner().invoke(cli, ["models", "verify"])
    assert result.exit_code == 2
    assert "silero-vad: silero_vad.onnx has 8 bytes, expected 2327524" in result.stderr
