"""The recorded phrases: text and sound, and where in the sound the voice really begins and ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from evals.caller import ear, wav
from evals.caller.g711 import Samples

VOICES = Path(__file__).parent.parent / "voices"


class PhraseError(ValueError):
    """A voice or phrase that is not there; the text says which are."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """`samples`: int16, 8 kHz. `first`, `last`: the sample where the voice becomes audible and where it ends."""

    name: str
    text: str
    samples: Samples
    first: int
    last: int


def load(names: Iterable[str], voice: str, folder: Path = VOICES) -> dict[str, Phrase]:
    """Read phrases from <folder>/<voice>/<name>.wav and <folder>/phrases.yaml. Raises PhraseError, WavError."""
    voices = sorted(one.name for one in folder.iterdir() if one.is_dir() and any(one.glob("*.wav")))
    if voice not in voices:
        raise PhraseError(f"voice {voice!r}: not in {folder}, which has {', '.join(voices) or 'none'}")
    texts = yaml.safe_load((folder / "phrases.yaml").read_text("utf-8"))
    return {name: _load(name, texts, folder / voice / f"{name}.wav", folder) for name in names}


def _load(name: str, texts: dict[str, str], path: Path, folder: Path) -> Phrase:
    if name not in texts:
        raise PhraseError(f"phrase {name!r}: not in {folder / 'phrases.yaml'}")
    if not path.exists():
        raise PhraseError(f"phrase {name!r}: no recording at {path}; render it with evals/voices/render.py")
    samples = wav.read(path)
    heard = ear.stretches(samples)
    if not heard:
        raise PhraseError(f"{path}: no sound above {ear.LOUD_DBFS:g} dBFS in it")
    first, last = (round(ms * wav.RATE_HZ / 1000) for ms in (heard[0].from_ms, heard[-1].to_ms))
    return Phrase(name, texts[name], samples, first, last)
