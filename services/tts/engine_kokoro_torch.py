"""Kokoro-82M by its authors' package `kokoro` on torch: for machines with a GPU, or with weights of one's own.

Nothing of it is installed with Tandem (the extra `kokoro` is) and nothing is downloaded during a call: every voice is
read at start. API and file layout: kokoro 0.9.4, `model.py` and `pipeline.py`.
"""

import importlib
import importlib.metadata
import threading
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.common.models.store import sha256_of
from services.tts import alignment, loudness
from services.tts.speech import Speech, VoiceUnknown

DEFAULT_VOICE = "af_heart"
_RATE_HZ = 24000
# Only stops KModel and KPipeline from printing a warning: the files they would fetch from there are all given.
_REPOSITORY = "hexgrad/Kokoro-82M"
# Of the repository's layout, what is read here.
_FILES = ["config.json", "*.pth", "voices/[ab]?_*.pt"]
# misaki, the package's own text-to-phonemes, tags words with it; when it is missing, misaki runs pip.
_TAGGER = "en_core_web_sm"
# Between the passes of a clause too long for one (510 phonemes).
_JOIN_MS = 60


class KokoroUnavailable(Exception):
    """The package, torch, its device or the weights are missing; the message is one line that says what to do."""


class Weights(NamedTuple):
    """The files of one Kokoro, laid out as in its hub repository."""

    config: Path
    network: Path
    voices: dict[str, Path]


class KokoroTorchEngine:
    """English voices by Kokoro's names, 24 kHz.

    One synthesis at a time: a GPU would take them one after another anyhow, torch uses all the cores it is given, and
    the package promises nothing about threads.
    """

    name = "kokoro-torch"

    def __init__(self, weights: str, device: str = "auto", speed: float = 1.0) -> None:
        """`weights`: a folder as `find_weights` wants it, or a hub id. `device`: auto, cpu, cuda or cuda:N.

        Raises KokoroUnavailable.
        """
        # Before the weights: a missing package is told without a download of 330 MB.
        self._torch, kokoro = _packages()
        self.device = _device(self._torch, device)
        files = find_weights(weights)
        self.model_sha256 = sha256_of(files.network)
        try:
            with warnings.catch_warnings():
                # The package calls what torch has deprecated.
                warnings.simplefilter("ignore")
                self._pipelines = self._load(kokoro, files)
        except Exception as error:
            raise KokoroUnavailable(
                f"{files.network.parent} does not load on {self.device}: {_first_line(error)}"
            ) from error
        self._voices = tuple(files.voices)
        self._speed = speed
        self._one = threading.Lock()

    def _load(self, kokoro: Any, files: Weights) -> dict[str, Any]:
        """A KPipeline for each accent (a: American, b: British, as the voices' names begin), on one KModel."""
        network = kokoro.KModel(repo_id=_REPOSITORY, config=str(files.config), model=str(files.network))
        network = network.to(self.device).eval()
        pipelines = {
            accent: kokoro.KPipeline(lang_code=accent, repo_id=_REPOSITORY, model=network)
            for accent in sorted({name[0] for name in files.voices})
        }
        for name, path in files.voices.items():
            # `voices` is where KPipeline looks before it asks the hub, which would be in the middle of a call.
            voice = self._torch.load(str(path), map_location="cpu", weights_only=True)
            pipelines[name[0]].voices[name] = voice.to(self.device)
        return pipelines

    def voice(self, name: str) -> str:
        name = {"": DEFAULT_VOICE, "heart": DEFAULT_VOICE}.get(name, name)
        if name not in self._voices:
            raise VoiceUnknown(f"engine kokoro-torch has no voice {name!r}; it has {', '.join(self._voices)}")
        return name

    def synthesize(self, text: str, voice: str) -> Speech:
        with self._one:
            # The vocoder's noise from a fixed seed: the same text is the same sound, here and on another worker.
            self._torch.manual_seed(0)
            passes = list(self._pipelines[voice[0]](text, voice=voice, speed=self._speed, split_pattern=None))
        return joined(text, [(_samples(one.audio), one.tokens or ()) for one in passes if one.audio is not None])


def joined(text: str, passes: Sequence[tuple[NDArray[np.float32], Sequence[Any]]]) -> Speech:
    """One Speech of the text's passes: the samples and the tokens (misaki's MToken) of each.

    A token has `text`, `whitespace` behind it, and `start_ts`, `end_ts` in seconds of its pass: None where it is not
    said, or where the package lost count.
    """
    parts: list[NDArray[np.float32]] = []
    words: list[tuple[int, int] | None] = []
    inside = False
    at = 0
    for samples, tokens in passes:
        first, last = loudness.sounding(samples, _RATE_HZ) if parts else (0, len(samples))
        for token in tokens:
            if not inside:
                words.append(None)
            inside = not token.whitespace
            # A comma has a time too: the pause after the word.
            if any(character.isalnum() for character in token.text):
                words[-1] = _widened(words[-1], token, at - first, at, at + last - first)
        parts += [samples[first:last], np.zeros(_RATE_HZ * _JOIN_MS // 1000, np.float32)]
        at += sum(map(len, parts[-2:]))
    spans = _in_order(words)
    written = text.split()
    if len(spans) != len(written) or not any(words):
        # The text was told apart otherwise than at its white space.
        spans = alignment.by_length(written, at)
    return Speech(np.concatenate(parts) if parts else np.zeros(0, np.float32), _RATE_HZ, tuple(spans))


def find_weights(given: str) -> Weights:
    """The files in a folder with config.json, one *.pth and voices/*.pt, or of a hub id's snapshot.

    Raises KokoroUnavailable.
    """
    folder = Path(given).expanduser()
    if not folder.is_dir():
        folder = _snapshot(given)
    config = folder / "config.json"
    networks = sorted(folder.glob("*.pth"))
    voices = {path.stem: path for path in sorted((folder / "voices").glob("[ab]?_*.pt"))}
    lacking = [
        what
        for what, there in (
            ("config.json", config.is_file()),
            ("one *.pth", len(networks) == 1),
            ("voices/*.pt with an English name (af_heart)", bool(voices)),
        )
        if not there
    ]
    if lacking:
        raise KokoroUnavailable(f"{folder} lacks {', '.join(lacking)} (setting tts.kokoro_weights)")
    return Weights(config, networks[0], voices)


def _snapshot(given: str) -> Path:
    if given.count("/") != 1 or given[:1] in "./~":
        raise KokoroUnavailable(f"{given} is no folder (setting tts.kokoro_weights)")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(given, allow_patterns=_FILES))
    except Exception as error:
        raise KokoroUnavailable(
            f"{given} is neither a folder here nor could it be had from the hub (setting tts.kokoro_weights): "
            f"{_first_line(error)}"
        ) from error


def _packages() -> tuple[Any, Any]:
    """torch and kokoro, imported by name: neither is there for a type checker, nor in most installations."""
    found = []
    for name in ("torch", "kokoro"):
        try:
            found.append(importlib.import_module(name))
        except Exception as error:  # a broken torch raises OSError, a broken spaCy whatever it likes
            how = "install it with `pip install kokoro==0.9.4` (Tandem's extra `kokoro`)"
            raise KokoroUnavailable(f"{name} cannot be imported ({_first_line(error)}); {how}") from error
    try:
        importlib.metadata.distribution(_TAGGER)
    except importlib.metadata.PackageNotFoundError as error:
        how = f"install it with `python -m spacy download {_TAGGER}`"
        raise KokoroUnavailable(f"kokoro needs spaCy's model {_TAGGER}; {how}") from error
    return found[0], found[1]


def _device(torch: Any, wanted: str) -> str:
    there = torch.cuda.is_available()
    if wanted.startswith("cuda") and not there:
        raise KokoroUnavailable(f"torch finds no CUDA device (setting tts.device: {wanted})")
    return ("cuda" if there else "cpu") if wanted == "auto" else wanted


def _samples(audio: Any) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = np.asarray(audio.detach().cpu().numpy(), np.float32).reshape(-1)
    return samples


def _widened(
    word: tuple[int, int] | None, token: Any, offset: int, earliest: int, latest: int
) -> tuple[int, int] | None:
    if token.start_ts is None or token.end_ts is None:
        return word
    times = (token.start_ts, token.end_ts)
    start, end = (min(max(round(time * _RATE_HZ) + offset, earliest), latest) for time in times)
    return (start, end) if word is None else (word[0], max(word[1], end))


def _in_order(words: Iterable[tuple[int, int] | None]) -> list[tuple[int, int]]:
    """Never overlapping; a word without a time is empty, where the word before it ends."""
    spans, now = [], 0
    for word in words:
        start, end = (now, now) if word is None else (max(word[0], now), max(word[1], now))
        spans.append((start, end))
        now = end
    return spans


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
