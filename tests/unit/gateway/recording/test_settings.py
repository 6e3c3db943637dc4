"""What settings of recordings are refused, and where the mistake is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.settings import SettingsInvalid, YamlFile
from services.gateway.recording.settings import RecordingSettings
from tests.unit.gateway.recording.shop import KEY, OTHER_KEY

WHOLE = f"mode: all\nfolder: rec\nkeys:\n  - id: a\n    key: {KEY}\n"


def read(text: str, folder: Path = Path("/etc/tandem")) -> RecordingSettings:
    return YamlFile(folder / "tandem.yaml", text).validate(RecordingSettings)


def test_off_by_default_and_asks_for_nothing() -> None:
    found = RecordingSettings()
    assert (found.mode, found.encryption, found.retention_days) == ("off", "on", 30)


def test_yaml_reads_off_as_false_and_it_is_off() -> None:
    found = read("mode: off\nencryption: off\n")
    assert (found.mode, found.encryption) == ("off", "off")


def test_relative_paths_start_at_the_settings_file() -> None:
    found = read(WHOLE + "consent: prompt\nconsent_prompt: told.wav\n")
    assert (found.folder, found.consent_prompt) == (Path("/etc/tandem/rec"), Path("/etc/tandem/told.wav"))


def test_key_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k").write_text(KEY + "\n")
    monkeypatch.setenv("OLD_RECORDING_KEY", OTHER_KEY)
    found = read(
        "mode: all\nfolder: rec\nkeys:\n- {id: new, key: 'file:k'}\n- {id: old, key: 'env:OLD_RECORDING_KEY'}\n",
        tmp_path,
    )
    assert found.key_ring().ids == ["new", "old"]
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mode: all\n", "tandem.yaml:1: folder: missing: where are"),
        ("mode: all\nfolder: rec\n", "tandem.yaml:1: keys: recordings want a key"),
        (
            "mode: all\nfolder: rec\nkeys:\n- {id: a, key: c2hvcnQ=}\n",
            "tandem.yaml:4: keys.0.key: expected 32 random bytes",
        ),
        (
            "mode: all\nfolder: rec\nkeys:\n- {id: a, key: 'no base64!'}\n",
            "tandem.yaml:4: keys.0.key: expected 32 random",
        ),
        (WHOLE + f"  - id: a\n    key: {OTHER_KEY}\n", "tandem.yaml:6: keys.1.id: there is already a key a"),
        (WHOLE + f"  - id: b\n    key: {KEY}\n", "tandem.yaml:7: keys.1.key: is given under another id too"),
        (WHOLE + "consent: prompt\n", "tandem.yaml:6: consent: prompt wants consent_prompt"),
        (WHOLE + "consent_prompt: told.wav\n", "tandem.yaml:6: consent_prompt: has no use"),
        ("format: opus\nwav_encoding: pcm\n", "tandem.yaml:2: wav_encoding: has no use"),
        ("retention_days: 0\n", "tandem.yaml:1: retention_days: "),
        ("max_gb: 0\n", "tandem.yaml:1: max_gb: "),
        ("mode: some\n", "tandem.yaml:1: mode: "),
        ("keep: 3\n", "tandem.yaml:1: keep: unknown key"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read(text)
    assert said in str(refused.value)
    assert KEY not in str(refused.value)


def test_without_a_key_only_when_it_is_said() -> None:
    assert read("mode: all\nfolder: rec\nencryption: off\n").unready() is None


def test_opus_wants_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.recording.settings.find_spec", lambda name: None)
    with pytest.raises(SettingsInvalid, match="format: opus wants the package soundfile"):
        read(WHOLE + "format: opus\n")
