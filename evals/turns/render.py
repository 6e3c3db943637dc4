"""Render what the set lacks: `python -m evals.turns.render --model kokoro.onnx --voices DIR`.

As evals/voices/render.py does, whose LICENSES.md says where model and voices are from; into evals/turns/voices.
"""

import argparse
import sys
from pathlib import Path

from evals.caller import wav
from evals.turns.phrases import Split, phrases, recording, voices
from evals.voices.render import Kokoro, telephone


def main() -> None:
    """Render what is missing."""
    parser = argparse.ArgumentParser(prog="python -m evals.turns.render", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="Kokoro-82M int8 ONNX, joined")
    parser.add_argument("--voices", type=Path, required=True, help="folder with <voice>.bin of kokoro-js")
    chosen = parser.parse_args()
    kokoro = Kokoro(chosen.model, chosen.voices)
    for split in Split:
        for phrase in phrases(split):
            for voice in voices(split):
                path = recording(voice, phrase.name)
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    samples = telephone(kokoro.speak(phrase.text, voice))
                    wav.write_ulaw(path, samples)
                    print(f"{voice}/{phrase.name}: {len(samples) / wav.RATE_HZ:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
