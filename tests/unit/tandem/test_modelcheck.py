"""Which models a stack needs: the default ones, less what a setting replaces or turns off."""

from pathlib import Path

import pytest

from services.common.settings import YamlFile
from tandem.modelcheck import lacking
from tandem.settings import check


@pytest.mark.parametrize(
    ("written", "needed"),
    [
        ("", {"whisper-base", "silero-vad", "smart-turn"}),
        ("asr: {turn_end_model: ''}", {"whisper-base", "silero-vad"}),
        ("asr: {model: whisper-tiny.en}", {"whisper-tiny.en", "whisper-base", "silero-vad", "smart-turn"}),
        ("asr: {turn_end_model: /srv/turn.onnx}", {"whisper-base", "silero-vad"}),
    ],
)
def test_what_is_lacking_on_a_bare_machine(written: str, needed: set[str], monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TANDEM_MODELS_DIR", str(tmp_path))
    assert set(lacking(check(YamlFile(Path("settings.yaml"), written)))) - {"hibari"} == needed
