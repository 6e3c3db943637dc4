"""Find where the marked places lie in the recordings: `python -m evals.turns.gaps --model kokoro.onnx --voices DIR`.

Writes gaps.json, which the recipe reads. Kokoro says how long it makes each phoneme, the same each time; so a phrase is
spoken once more, and the quietest 10 ms at the space between two words is the place. Run once, after render.py.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from evals.caller import wav
from evals.turns.phrases import Phrase, Split, phrases, recording, voices
from evals.turns.recipe import GAPS
from evals.voices.render import KOKORO_HZ, PRONOUNCE, STYLE_WIDTH, Kokoro, telephone
from services.tts.durations import FRAME, open_model

NEAR_S = 0.03
DURATIONS = "/encoder/Clip_output_0"
SAME_LENGTH_S = 0.03
"""A recording and its second rendering agree to this, or the places of one mean nothing in the other."""


class Speaker(Kokoro):
    """Tells its durations too."""

    def __init__(self, model: Path, voices: Path) -> None:
        super().__init__(model, voices)
        self._session, tells = open_model(model, 1, DURATIONS)
        if not tells:
            raise SystemExit(f"{model}: does not tell its durations ({DURATIONS})")

    def spaces(self, text: str, voice: str) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
        """(24 kHz sound, for each space between words when it begins and ends, in seconds)"""
        british = voice.startswith("b")
        for word, phonemes in PRONOUNCE.items():
            text = re.sub(rf"\b{word}\b", f"[{word}](/{phonemes[british]}/)", text)
        spoken = [one for one in self._g2p[british](text) if one in self._vocabulary]
        styles = np.fromfile(self._voices / f"{voice}.bin", np.float32).reshape(-1, STYLE_WIDTH)
        feed = {
            "tokens": np.array([[0, *(self._vocabulary[one] for one in spoken), 0]]),
            "style": styles[min(len(spoken), len(styles)) - 1][None],
            "speed": np.ones(1, np.float32),
        }
        sound, durations = self._session.run(None, feed)
        ends_s = np.cumsum(np.ravel(durations)) * FRAME / KOKORO_HZ
        found = []
        for at, one in enumerate(spoken):
            if one == " ":
                first = at
                while not spoken[first - 1].isalpha() and spoken[first - 1] not in "ˈˌː":
                    first -= 1
                found.append((float(ends_s[first]), float(ends_s[at + 1])))  # ends_s begins with the pad
        return np.asarray(sound, np.float32).ravel(), found


def find(speaker: Speaker, voice: str, phrase: Phrase) -> list[int]:
    """Sample (8 kHz) of each mark of the phrase. Raises SystemExit where the recording is another rendering's."""
    sound, spaces = speaker.spaces(phrase.text, voice)
    if len(spaces) != len(phrase.text.split()) - 1:
        raise SystemExit(f"{voice}/{phrase.name}: {len(spaces)} spaces spoken in {phrase.text!r}")
    again, samples = telephone(sound), wav.read(recording(voice, phrase.name))
    if abs(len(again) - len(samples)) > SAME_LENGTH_S * wav.RATE_HZ:
        raise SystemExit(f"{voice}/{phrase.name}: {len(samples)} samples, spoken again {len(again)}: render it again")
    trimmed_s = _offset(np.asarray(soxr.resample(sound, KOKORO_HZ, wav.RATE_HZ, quality="HQ")), again) / wav.RATE_HZ
    found = []
    said = 0
    for part in phrase.parts[:-1]:
        said += len(part.split())
        begins_s, ends_s = spaces[said - 1]
        found.append(_quietest(samples, begins_s - trimmed_s, ends_s - trimmed_s))
    return found


def _offset(whole: NDArray[np.float32], part: NDArray[np.int16]) -> int:
    """Sample of the whole at which the part begins."""
    size = len(whole) + len(part)
    product = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part.astype(np.float64), size)), size)
    best = int(np.argmax(product))
    return best if best < len(whole) else best - size


def _quietest(samples: NDArray[np.int16], from_s: float, to_s: float) -> int:
    size = wav.RATE_HZ // 100
    first = max(round((from_s - NEAR_S) * wav.RATE_HZ), 0)
    starts = range(first, min(round((to_s + NEAR_S) * wav.RATE_HZ), len(samples)) - size, size // 4)
    power = [float((samples[at : at + size].astype(np.float64) ** 2).mean()) for at in starts]
    return int(starts[int(np.argmin(power))] + size // 2)


def main() -> None:
    """Find them all."""
    parser = argparse.ArgumentParser(prog="python -m evals.turns.gaps", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="Kokoro-82M int8 ONNX, joined")
    parser.add_argument("--voices", type=Path, required=True, help="folder with <voice>.bin of kokoro-js")
    chosen = parser.parse_args()
    speaker = Speaker(chosen.model, chosen.voices)
    told: dict[str, dict[str, list[int]]] = {}
    for split in Split:
        for voice in voices(split):
            told[voice] = {}
            for phrase in phrases(split, "unfinished"):
                told[voice][phrase.name] = found = find(speaker, voice, phrase)
                print(f"{voice}/{phrase.name}: {[round(at / wav.RATE_HZ, 2) for at in found]}", file=sys.stderr)
    GAPS.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
