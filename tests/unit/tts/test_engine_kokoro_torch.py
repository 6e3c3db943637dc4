"""The engine on the package `kokoro`, with a stand-in for the package: no torch is needed here.

The stand-in keeps to what kokoro 0.9.4 does: KPipeline is called with a text and yields results with `audio` and
`tokens`, whose `start_ts` and `end_ts` count seconds of their own result.
"""

import importlib.metadata
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from services.common.service import StartRefused
from services.common.settings import SettingsInvalid, YamlFile
from services.tts import engine_kokoro_torch
from services.tts.app import open_engine
from services.tts.engine_kokoro_torch import KokoroTorchEngine, KokoroUnavailable, find_weights, joined
from services.tts.rendering import render
from services.tts.settings import TtsSettings
from services.tts.speech import Engine, VoiceUnknown

RATE_HZ = 24000
WORD_S = 0.2


class Tensor:
    def __init__(self, values: np.ndarray[Any, Any], device: str = "cpu") -> None:
        self.values = values
        self.device = device

    def to(self, device: str) -> "Tensor":
        return Tensor(self.values, device)

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return self.to("cpu")

    def numpy(self) -> np.ndarray[Any, Any]:
        assert self.device == "cpu"
        return self.values


class KModel:
    def __init__(self, repo_id: str, config: str, model: str) -> None:
        self.vocab = json.loads(Path(config).read_text())["vocab"]
        self.weights = Path(model).read_bytes()
        if self.weights == b"bad":
            raise RuntimeError("PytorchStreamReader failed\nand a page of C++ behind it")
        self.device = "cpu"
        self.evaluating = False

    def to(self, device: str) -> "KModel":
        self.device = device
        return self

    def eval(self) -> "KModel":
        self.evaluating = True
        return self


class KPipeline:
    """A 440 Hz tone of 0.2 s a word, 0.1 s of silence around them; a result for each sentence."""

    made: ClassVar[list["KPipeline"]] = []
    running = threading.Lock()

    def __init__(self, lang_code: str, repo_id: str, model: KModel) -> None:
        self.lang_code = lang_code
        self.model = model
        self.voices: dict[str, Tensor] = {}
        self.asked: list[tuple[str, str, float]] = []
        KPipeline.made.append(self)

    def __call__(self, text: str, voice: str, speed: float, split_pattern: str | None) -> Iterator[Any]:
        assert self.model.evaluating
        assert self.running.acquire(blocking=False), "two threads in the package at once"
        try:
            assert self.voices[voice].device == self.model.device
            self.asked.append((text, voice, speed))
            results = [self._result(sentence) for sentence in text.replace(". ", ".\n").split("\n")]
            results[-1].tokens[-1].whitespace = ""
            yield from results
        finally:
            self.running.release()

    def _result(self, sentence: str) -> Any:
        tokens, now = [], 0.1
        for word in sentence.split():
            bare = word.rstrip(".,")
            tokens.append(token(bare, "" if word != bare else " ", now, now + WORD_S))
            now += WORD_S
            if word != bare:
                tokens.append(token(word[len(bare) :], " ", now, now))
        silence = np.zeros(RATE_HZ // 10, np.float32)
        audio = np.concatenate([silence, tone(now - 0.1), silence])
        return SimpleNamespace(audio=Tensor(audio, self.model.device), tokens=tokens)


def token(text: str, whitespace: str, start: float | None, end: float | None) -> Any:
    return SimpleNamespace(text=text, whitespace=whitespace, start_ts=start, end_ts=end)


def tone(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


@pytest.fixture
def cuda() -> bool:
    return False


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, cuda: bool) -> Any:
    """`torch`, `kokoro` and spaCy's model, as far as the engine sees them."""
    torch = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: cuda),
        load=lambda path, map_location, weights_only: Tensor(np.frombuffer(Path(path).read_bytes(), np.uint8)),
        manual_seed=lambda seed: None,
    )
    kokoro = SimpleNamespace(KModel=KModel, KPipeline=KPipeline)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "kokoro", kokoro)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: None)
    monkeypatch.setattr(KPipeline, "made", [])
    return kokoro


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "voices").mkdir()
    (tmp_path / "config.json").write_text('{"vocab": {"a": 1}}')
    (tmp_path / "kokoro-v1_0.pth").write_bytes(b"good")
    for voice in ("af_heart", "bm_george", "jf_alpha"):
        (tmp_path / "voices" / f"{voice}.pt").write_bytes(b"style")
    return tmp_path


@pytest.fixture
def engine(package: Any, weights: Path) -> KokoroTorchEngine:
    return KokoroTorchEngine(str(weights), speed=1.1)


def test_word_times_are_the_tokens_own(engine: KokoroTorchEngine) -> None:
    speech = engine.synthesize("Good morning, all", "af_heart")
    assert speech.rate_hz == RATE_HZ
    assert speech.words == ((2400, 7200), (7200, 12000), (12000, 16800))
    assert KPipeline.made[0].asked == [("Good morning, all", "af_heart", 1.1)]


def test_each_word_of_a_second_pass_lies_where_it_sounds(engine: KokoroTorchEngine) -> None:
    speech = engine.synthesize("One moment. Thank you.", "af_heart")
    assert len(speech.words) == 4
    for start, end in speech.words:
        middle = speech.samples[start + 200 : end - 200]
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    between = speech.samples[speech.words[1][1] + 200 : speech.words[2][0] - 200]
    assert not between.any()


def test_a_clause_is_rendered_for_the_line(engine: KokoroTorchEngine) -> None:
    one: Engine = engine
    audio = render("At 10:30, please.", one, engine.voice(""), 8000, -20.0)
    assert [word.text for word in audio.words] == ["At", "10:30,", "please."]
    assert audio.words[1].end - audio.words[1].start == pytest.approx(2 * WORD_S * 8000, abs=2), "ten thirty"
    assert audio.words[-1].end <= len(audio.samples)


def test_tokens_without_times_leave_words_empty_in_order() -> None:
    tokens = [token("Ask", " ", 0.0, 0.2), token("Xzq", " ", None, None), token("now", "", 0.2, 0.4)]
    speech = joined("Ask Xzq now", [(tone(0.4), tokens)])
    assert speech.words == ((0, 4800), (4800, 4800), (4800, 9600))


def test_other_words_than_written_share_the_sound_by_length() -> None:
    speech = joined("one two", [(tone(0.4), [token("onetwo", "", 0.0, 0.4)])])
    assert len(speech.words) == 2
    assert speech.words[0][1] <= speech.words[1][0]


def test_times_past_the_sound_are_cut() -> None:
    speech = joined("late", [(tone(0.1), [token("late", "", 0.05, 9.0)])])
    assert speech.words == ((1200, 2400),)


def test_nothing_said_is_no_sound() -> None:
    speech = joined("...", [])
    assert len(speech.samples) == 0
    assert speech.words == ((0, 0),)


def test_voices_are_the_english_ones_of_the_weights(engine: KokoroTorchEngine) -> None:
    assert engine.voice("") == engine.voice("heart") == "af_heart"
    engine.synthesize("Hello.", engine.voice("bm_george"))
    american, british = KPipeline.made
    assert (american.lang_code, british.lang_code) == ("a", "b")
    assert american.model is british.model, "one network for both"
    assert british.asked
    with pytest.raises(VoiceUnknown, match="no voice 'jf_alpha'; it has af_heart, bm_george"):
        engine.voice("jf_alpha")


def test_only_one_thread_is_in_the_package(engine: KokoroTorchEngine) -> None:
    said: list[int] = []
    threads = [
        threading.Thread(target=lambda: said.append(len(engine.synthesize("One two. Three.", "af_heart").words)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert said == [3] * 8


@pytest.mark.parametrize(
    ("cuda", "wanted", "chosen"),
    [
        (False, "auto", "cpu"),
        (True, "auto", "cuda"),
        (True, "cpu", "cpu"),
        (True, "cuda:1", "cuda:1"),
    ],
)
def test_device(package: Any, weights: Path, wanted: str, chosen: str) -> None:
    engine = KokoroTorchEngine(str(weights), wanted)
    assert engine.device == KPipeline.made[0].model.device == chosen
    assert len(engine.synthesize("Hello.", "af_heart").words) == 1


def test_no_gpu_is_one_line(package: Any, weights: Path) -> None:
    with pytest.raises(KokoroUnavailable, match=r"^torch finds no CUDA device \(setting tts.device: cuda:0\)$"):
        KokoroTorchEngine(str(weights), "cuda:0")


@pytest.mark.parametrize("name", ["torch", "kokoro"])
def test_a_missing_package_is_one_line(package: Any, weights: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(KokoroUnavailable, match=rf"^{name} cannot be imported .*install it with `pip install kokoro"):
        KokoroTorchEngine(str(weights))


def test_a_missing_tagger_is_one_line(package: Any, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", none)
    with pytest.raises(KokoroUnavailable, match="spacy download en_core_web_sm"):
        KokoroTorchEngine(str(weights))
    assert not KPipeline.made, "the package would run pip"


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("config.json", "lacks config.json "),
        ("kokoro-v1_0.pth", r"lacks one \*\.pth "),
        ("voices/*.pt", r"lacks voices/\*\.pt with an English name"),
    ],
)
def test_missing_files_are_named(package: Any, weights: Path, gone: str, said: str) -> None:
    for path in list(weights.glob(gone)):
        path.unlink()
    with pytest.raises(KokoroUnavailable, match=f"{said}.*tts.kokoro_weights"):
        KokoroTorchEngine(str(weights))


def test_no_folder_and_no_hub_id(package: Any) -> None:
    with pytest.raises(KokoroUnavailable, match=r"^/nowhere/kokoro is no folder \(setting tts.kokoro_weights\)$"):
        KokoroTorchEngine("/nowhere/kokoro")


def test_a_hub_id_is_a_snapshot_of_what_is_read(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    import huggingface_hub

    def snapshot(repository: str, allow_patterns: list[str]) -> str:
        if repository != "somebody/Kokoro":
            raise OSError("404 Not Found\nRequest ID: 1")
        assert allow_patterns == engine_kokoro_torch._FILES
        return str(weights)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert set(find_weights("somebody/Kokoro").voices) == {"af_heart", "bm_george"}
    with pytest.raises(KokoroUnavailable, match=r"could it be had from the hub .*: 404 Not Found$"):
        find_weights("nobody/nothing")


def test_bad_weights_refuse_the_start_in_one_line(package: Any, weights: Path) -> None:
    (weights / "kokoro-v1_0.pth").write_bytes(b"bad")
    with pytest.raises(StartRefused) as refused:
        open_engine(TtsSettings(engine="kokoro-torch", kokoro_weights=str(weights)))
    assert str(refused.value) == (f"engine kokoro-torch: {weights} does not load on cpu: PytorchStreamReader failed")


def test_the_settings_choose_it_by_name(package: Any, weights: Path) -> None:
    engine = open_engine(TtsSettings(engine="kokoro-torch", kokoro_weights=str(weights)))
    assert engine.name == "kokoro-torch", "what voice.tts.engine says"
    assert len(engine.model_sha256) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("engine: kokoro-torch", "engine kokoro-torch needs kokoro_weights: a folder or a hub id"),
        ("engine: kokoro\nkokoro_weights: /w", "kokoro_weights is for engine kokoro-torch, and engine is kokoro"),
        ("kokoro_weights: /w", "kokoro_weights is for engine kokoro-torch, and engine is hibari"),
        ("device: cuda", "device cuda is for engine kokoro-torch; hibari runs on the CPU"),
        ("engine: kokoro-torch\nkokoro_weights: /w\ndevice: tpu", "device"),
    ],
)
def test_contradictions_are_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        YamlFile(Path("tandem.yaml"), text).validate(TtsSettings)
    assert said in str(refused.value)
    assert len(refused.value.mistakes) == 1
