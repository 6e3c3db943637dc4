"""Render the recorded callers: `python -m evals.voices.render --model kokoro.onnx --voices DIR`.

Kokoro-82M (int8 ONNX) speaks each phrase of phrases.yaml in English voices that are not the product's own; the sound
is brought to a telephone line's band and level, trimmed and written as µ-law WAV. LICENSES.md names the packages that
hold the model and the voices. Written once and kept in the tree: calls need neither model nor onnxruntime.
"""

import argparse
import hashlib
import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnxruntime
import soxr
import yaml
from hibari.g2p import G2P  # type: ignore[import-untyped]
from numpy.typing import NDArray

from evals.caller import ear, wav

HERE = Path(__file__).parent
VOICES = ("af_bella", "am_michael", "bf_emma", "bm_george")
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"

KOKORO_HZ = 24000
STYLE_WIDTH = 256
LEVEL_DBFS = -26.0
"""Nominal active speech level on a line (ITU-T P.56, G.191)."""
BAND_HZ = (300.0, 3400.0)
"""Pass band of a telephone channel (ITU-T G.712)."""
MARGIN_MS, TRIM_DBFS = 50, -60.0
"""Kept before the first and after the last sample of a window at this level: a final /z/ or /s/ is weak on a line."""

PRONOUNCE = {  # word: American, British
    "Kowalski": ("kəwˈɔlski", "kəwˈɔlski"),  # the lexicon has no Polish names
    "Maria": ("məɹˈiə", "məɹˈiə"),  # the lexicon says mˈɑɹiə, which is heard as Mario
    "Mm-hm": ("mm hmm", "mˌm hˈmm"),  # the lexicon's mhm comes out as a breath
}


class Kokoro:
    """The model and its alphabet. `model`: path to the ONNX file; raises SystemExit when it is another model."""

    def __init__(self, model: Path, voices: Path) -> None:
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        if digest != MODEL_SHA256:
            raise SystemExit(f"{model}: sha256 {digest}, expected {MODEL_SHA256} (LICENSES.md says where it is from)")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._vocabulary: dict[str, int] = json.loads(files("hibari").joinpath("assets/vocab.json").read_text("utf-8"))
        self._g2p = {british: G2P(british=british) for british in (False, True)}
        self._voices = voices

    def speak(self, text: str, voice: str) -> NDArray[np.float32]:
        """float32 samples at 24 kHz of `text` in `voice`; names that begin with b are British."""
        british = voice.startswith("b")
        for word, phonemes in PRONOUNCE.items():
            text = re.sub(rf"\b{word}\b", f"[{word}](/{phonemes[british]}/)", text)
        spoken = self._g2p[british](text)
        tokens = [self._vocabulary[one] for one in spoken if one in self._vocabulary]
        # A voice is 510 style vectors, one for each length of input.
        styles = np.fromfile(self._voices / f"{voice}.bin", np.float32).reshape(-1, STYLE_WIDTH)
        style = styles[min(len(tokens), len(styles)) - 1][None]
        feed = {"tokens": np.array([[0, *tokens, 0]]), "style": style, "speed": np.ones(1, np.float32)}
        return np.asarray(self._session.run(None, feed)[0], np.float32).ravel()


def telephone(sound: NDArray[np.float32]) -> NDArray[np.int16]:
    """24 kHz float samples as a telephone line carries them: 8 kHz, 300-3400 Hz, -26 dBov of active speech, trimmed."""
    narrow = np.convolve(soxr.resample(sound, KOKORO_HZ, wav.RATE_HZ, quality="VHQ"), _band_pass(), mode="same")
    frames = narrow[: len(narrow) // 160 * 160].reshape(-1, 160)
    power = (frames**2).mean(axis=1)
    active = power[power > power.max() * 10**-3].mean()  # within 30 dB of the loudest 20 ms: leaves the pauses out
    level = 10 ** (LEVEL_DBFS / 20) / np.sqrt(active)
    samples = np.clip(np.round(narrow * level * 32768), -32767, 32767).astype(np.int16)
    heard = ear.stretches(samples, TRIM_DBFS)
    margin = MARGIN_MS * wav.RATE_HZ // 1000
    start = int(heard[0].from_ms * wav.RATE_HZ / 1000) - margin
    stop = int(heard[-1].to_ms * wav.RATE_HZ / 1000) + margin
    return np.concatenate([np.zeros(max(-start, 0), np.int16), samples[max(start, 0) : stop]])


def _band_pass(taps: int = 255) -> NDArray[np.float64]:
    n = np.arange(taps) - taps // 2
    low, high = (2 * edge / wav.RATE_HZ for edge in BAND_HZ)
    return np.asarray((high * np.sinc(high * n) - low * np.sinc(low * n)) * np.blackman(taps))


def main() -> None:
    """Render what is missing, or what is named."""
    parser = argparse.ArgumentParser(prog="python -m evals.voices.render", description="Render the recorded callers.")
    parser.add_argument("--model", type=Path, required=True, help="Kokoro-82M int8 ONNX, joined")
    parser.add_argument("--voices", type=Path, required=True, help="folder with <voice>.bin of kokoro-js")
    parser.add_argument("--out", type=Path, default=HERE, help="where <voice>/<phrase>.wav go (default: %(default)s)")
    parser.add_argument("--voice", nargs="+", default=list(VOICES), help="which voices (default: all)")
    parser.add_argument("--phrase", nargs="+", help="which phrases, even if there already (default: missing ones)")
    chosen = parser.parse_args()
    phrases: dict[str, str] = yaml.safe_load((HERE / "phrases.yaml").read_text("utf-8"))
    kokoro = Kokoro(chosen.model, chosen.voices)
    for voice in chosen.voice:
        (chosen.out / voice).mkdir(parents=True, exist_ok=True)
        for phrase in chosen.phrase or phrases:
            path = chosen.out / voice / f"{phrase}.wav"
            if chosen.phrase or not path.exists():
                samples = telephone(kokoro.speak(phrases[phrase], voice))
                wav.write_ulaw(path, samples)
                print(f"{path.relative_to(chosen.out)}: {len(samples) / wav.RATE_HZ:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
