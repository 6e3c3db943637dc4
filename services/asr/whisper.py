"""Whisper on telephone speech: short context, guarded decoding, word times.

Whisper was trained on 30 s windows; the time of a pass is the encoder's over those 30 s. A context of 8 s, or the clip
and one second more, is three to six times faster. Shorter still and it repeats itself, which a guard catches: such a
pass is done once more over the full 30 s.

The CTranslate2 model is called directly, with faster-whisper's feature extractor and tokenizer.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import soxr
import tokenizers
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from services.asr.language import AUTO
from services.asr.phantoms import phantom

RATE_HZ = 16_000
FULL_S = 30.0
LEAST_CONTEXT_S = 8.0
MARGIN_S = 1.0
"""Silence after a clip of more than 7 s."""
FRAMES_A_SECOND = 100
SECONDS_A_TIMESTAMP = 0.02
SECONDS_AN_ALIGNMENT = 0.02

MOST_TOKENS_A_SECOND = 12
TOKENS_TO_SPARE = 12
"""A quick speaker says six words, about nine tokens, a second; timestamps and punctuation are to spare."""
MOST_TOKENS = 448
"""The decoder's positions."""
LEAST_TAIL_TOKENS = 5
PROMPT_TOKENS = 64
"""The end of a longer prompt; each token takes one of the decoder's positions."""

NO_SPEECH, UNSURE_LOGPROB = 0.6, -1.0
SURELY_NO_SPEECH = 0.85
LOST_LOGPROB = -1.5
"""Above NO_SPEECH and below UNSURE_LOGPROB, or beyond either of the others, nothing was said. The first two are
Whisper's own (openai/whisper, transcribe.py). Measured over µ-law: noise, hum, tones and coughs give 0.44-0.99 and -0.7
to -1.9; a short name on a line with comfort noise 0.65 and -0.68. A name lost is worse than a cough that becomes a
word, and most noise never gets here: the voice activity network comes first."""
MOST_COMPRESSION = 2.4
"""Whisper's own bound (openai/whisper, transcribe.py) for a text that repeats itself."""


@dataclass(frozen=True, slots=True)
class WordHeard:
    """start_s and end_s count from the clip's first sample; confidence is 0 to 1."""

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in a clip; empty text and confidence near 0 when there were no words.

    `language`: the one it was decoded in, ISO 639-1; the probability is 0 unless it was to be detected. `model`: what
    made it, where that is not what was asked first. `failure`: why the one asked first did not.
    """

    text: str
    words: tuple[WordHeard, ...]
    confidence: float
    language: str
    language_probability: float = 0.0
    model: str = ""
    failure: Exception | None = field(default=None, compare=False)


NOTHING = Transcript("", (), 0.0, "")


@dataclass(frozen=True, slots=True)
class _Decoded:
    tokens: list[int]
    logprob: float
    no_speech: float
    doubtful: bool
    looping: bool


class Whisper:
    """A loaded model. Threads may share it: each calling thread decodes on one core, `passes_at_once` of them."""

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        compute_type: str = "int8",
        passes_at_once: int = 1,
        beam_size: int = 1,
        word_times: bool = True,
        default_language: str = "en",
        least_language_probability: float = 0.7,
    ) -> None:
        """`path`: a CTranslate2 model folder. Raises RuntimeError or ValueError from CTranslate2 when it is none.

        The default stands in for a language detected with less than the probability.
        """
        self._model: Any = ctranslate2.models.Whisper(
            str(path), device=device, compute_type=compute_type, inter_threads=passes_at_once, intra_threads=1
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
        preprocessor = path / "preprocessor_config.json"
        known = {"feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft"}
        options = json.loads(preprocessor.read_text("utf-8")) if preprocessor.exists() else {}
        options.setdefault("feature_size", self._model.n_mels)
        self._features = FeatureExtractor(**{key: value for key, value in options.items() if key in known})
        self._beam_size = beam_size
        self._word_times = word_times
        self._default_language = default_language
        self._least_language_probability = least_language_probability
        # Spoken words only: "[music]" and "(laughs)" would be read as said.
        self._suppress = [-1, *self._spelling("en").non_speech_tokens]

    @property
    def multilingual(self) -> bool:
        return bool(self._model.is_multilingual)

    def knows(self, language: str) -> bool:
        """Can it recognize this language (ISO 639-1)? "auto" when it can tell languages apart."""
        if language == AUTO:
            return self.multilingual
        return language == "en" or (self.multilingual and self._tokenizer.token_to_id(f"<|{language}|>") is not None)

    def _spelling(self, language: str) -> Any:
        return Tokenizer(self._tokenizer, self.multilingual, task="transcribe", language=language)

    def transcribe(
        self, samples: NDArray[np.int16], sample_rate_hz: int, language: str = "en", prompt: str = ""
    ) -> Transcript:
        """What is said in a mono clip of up to 30 s; `prompt` is text that may have come before it.

        `language`: ISO 639-1, or "auto" to detect it.
        """
        sound: NDArray[np.float32] = samples.astype(np.float32) * np.float32(1 / 32768)
        if sample_rate_hz != RATE_HZ:
            sound = np.asarray(soxr.resample(sound, sample_rate_hz, RATE_HZ, quality="HQ"), np.float32)
        sound = sound[: int(FULL_S * RATE_HZ)]
        seconds = len(sound) / RATE_HZ
        context_s = min(max(LEAST_CONTEXT_S, seconds + MARGIN_S), FULL_S)
        encoded = self._encode(sound, context_s)
        probability = 0.0
        if language == AUTO:
            language, probability = self._detected(encoded)
        spelling = self._spelling(language)
        decoded = self._decode(encoded, spelling, self._prompt(spelling, prompt), seconds)
        if decoded.doubtful or decoded.looping:
            encoded = self._encode(sound, FULL_S)
            decoded = self._decode(encoded, spelling, self._prompt(spelling, ""), seconds)
        return replace(self._transcript(encoded, decoded, spelling, seconds), language_probability=probability)

    def _detected(self, encoded: Any) -> tuple[str, float]:
        token, probability = self._model.detect_language(encoded)[0][0]
        language = token.strip("<|>") if probability >= self._least_language_probability else self._default_language
        return language, float(probability)

    def _prompt(self, spelling: Any, prompt: str) -> list[int]:
        before: list[int] = []
        if prompt:
            before = [spelling.sot_prev, *spelling.encode(" " + prompt.strip())[-PROMPT_TOKENS:]]
        return [*before, *spelling.sot_sequence]

    def _encode(self, sound: NDArray[np.float32], context_s: float) -> Any:
        frames = int(context_s * FRAMES_A_SECOND)
        padded = np.zeros(frames * RATE_HZ // FRAMES_A_SECOND, np.float32)
        padded[: len(sound)] = sound[: len(padded)]
        mel = self._features(padded, padding=0)[:, :frames]
        if mel.shape[1] < frames:
            mel = np.pad(mel, ((0, 0), (0, frames - mel.shape[1])))
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None], np.float32))
        return self._model.encode(view)

    def _decode(self, encoded: Any, spelling: Any, prompt: list[int], seconds: float) -> _Decoded:
        most = int(TOKENS_TO_SPARE + MOST_TOKENS_A_SECOND * seconds)
        result = self._model.generate(
            encoded,
            [prompt],
            beam_size=self._beam_size,
            max_length=min(len(prompt) + most, MOST_TOKENS),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppress,
        )[0]
        raw = list(result.sequences_ids[0])
        tokens, repeated = fitting(raw, spelling.eot, spelling.timestamp_begin, seconds)
        text = [token for token in tokens if token < spelling.eot]
        # CTranslate2 gives the mean over the tokens and leaves the end token out of the count.
        logprob = float(result.scores[0]) * len(raw) / (len(raw) + 1)
        endless = len(raw) >= most and not repeated
        looping = endless or loops(text) or compression(str(spelling.decode(text))) > MOST_COMPRESSION
        doubtful = doubled(text) or (len(raw) > len(tokens) and not repeated)
        return _Decoded(tokens, logprob, float(result.no_speech_prob), doubtful, looping)

    def _transcript(self, encoded: Any, decoded: _Decoded, spelling: Any, seconds: float) -> Transcript:
        tokens = [token for token in decoded.tokens if token < spelling.eot]
        text = str(spelling.decode(tokens)).strip()
        confidence = float(np.exp(min(decoded.logprob, 0.0)))
        if (
            decoded.looping
            or silent(decoded.no_speech, decoded.logprob)
            or not any(letter.isalnum() for letter in text)
            or phantom(text, spelling.language_code, confidence, decoded.no_speech, seconds)
        ):
            return Transcript("", (), min(confidence, 0.1), spelling.language_code)
        words = (
            self._aligned(encoded, tokens, spelling, seconds)
            if self._word_times
            else spread(decoded.tokens, spelling, seconds, confidence)
        )
        return Transcript(text, words, confidence, spelling.language_code)

    def _aligned(self, encoded: Any, tokens: list[int], spelling: Any, seconds: float) -> tuple[WordHeard, ...]:
        frames = int(seconds * FRAMES_A_SECOND)
        result = self._model.align(encoded, spelling.sot_sequence, [tokens], frames)[0]
        pieces, piece_tokens = spelling.split_to_word_tokens([*tokens, spelling.eot])
        boundaries = np.cumsum([0, *(len(one) for one in piece_tokens[:-1])])
        token_at = np.array([pair[0] for pair in result.alignments])
        frame_at = np.array([pair[1] for pair in result.alignments])
        first = np.diff(token_at, prepend=-1) > 0
        times = frame_at[first] * SECONDS_AN_ALIGNMENT
        probabilities = np.array(result.text_token_probs)
        words = [
            WordHeard(
                piece,
                min(float(times[boundaries[index]]), seconds),
                min(float(times[boundaries[index + 1]]), seconds),
                float(probabilities[boundaries[index] : boundaries[index + 1]].mean()),
            )
            for index, piece in enumerate(pieces[:-1])
        ]
        return joined(words)


def joined(pieces: Sequence[WordHeard]) -> tuple[WordHeard, ...]:
    """Pieces as the tokenizer splits them → words: a piece without a leading space belongs to the one before it."""
    words: list[WordHeard] = []
    for piece in pieces:
        if words and not piece.text.startswith(" "):
            last = words[-1]
            mean = min(last.confidence, piece.confidence) if piece.text.isalnum() else last.confidence
            words[-1] = WordHeard(last.text + piece.text, last.start_s, piece.end_s, mean)
        else:
            words.append(WordHeard(piece.text.strip(), piece.start_s, piece.end_s, piece.confidence))
    return tuple(word for word in words if word.text)


def spread(tokens: Sequence[int], spelling: Any, seconds: float, confidence: float) -> tuple[WordHeard, ...]:
    """Words laid over their segment's timestamps by their lengths: no alignment pass, right to a few 100 ms."""
    words: list[WordHeard] = []
    start_s, text = 0.0, []
    for token in [*tokens, None]:
        if token is not None and token < spelling.eot:
            text.append(token)
            continue
        stamp = seconds if token is None else (token - spelling.timestamp_begin) * SECONDS_A_TIMESTAMP
        stamp = min(max(stamp, start_s), seconds)
        spoken = str(spelling.decode(text)).split()
        letters = sum(len(word) for word in spoken)
        for word in spoken:
            end_s = start_s + (stamp - start_s) * len(word) / letters
            letters -= len(word)
            words.append(WordHeard(word, start_s, end_s, confidence))
            start_s = end_s
        start_s, text = stamp, []
    return tuple(words)


def silent(no_speech: float, logprob: float) -> bool:
    """Was there nothing said, whatever the text? From the model's no-speech probability and mean log probability."""
    unsure = no_speech > NO_SPEECH and logprob < UNSURE_LOGPROB
    return unsure or no_speech > SURELY_NO_SPEECH or logprob < LOST_LOGPROB


def fitting(tokens: list[int], eot: int, timestamp_begin: int, seconds: float) -> tuple[list[int], bool]:
    """Tokens without a last segment that cannot have been said in what is left of the clip.

    Behind the caller's last word Whisper now and then begins again from the first, with a timestamp near the clip's
    end. Returns whether what was cut off did that: then the rest is sound, else the whole pass is in doubt.
    """
    opened = [at for at in range(len(tokens) - 1) if tokens[at] >= timestamp_begin and tokens[at + 1] < eot]
    if not opened or opened[-1] == 0:
        return tokens, False
    last = opened[-1]
    left_s = max(seconds - (tokens[last] - timestamp_begin) * SECONDS_A_TIMESTAMP, 0.0)
    tail = [token for token in tokens[last:] if token < eot]
    if len(tail) <= LEAST_TAIL_TOKENS + MOST_TOKENS_A_SECOND * left_s:
        return tokens, False
    head = [token for token in tokens[:last] if token < eot]
    begun_again = any(head[at : at + 3] == tail[:3] for at in range(len(head) - 2))
    return tokens[:last], begun_again


def loops(tokens: Sequence[int]) -> bool:
    """Does the decoder repeat itself? Digits may: "five five five" is one token three times."""
    for length, times in ((1, 6), (2, 5), (3, 4), (4, 3), (5, 3), (6, 3), (8, 3), (10, 3)):
        for start in range(len(tokens) - length * times + 1):
            gram = list(tokens[start : start + length])
            if all(list(tokens[start + n * length : start + (n + 1) * length]) == gram for n in range(1, times)):
                return True
    return False


def doubled(tokens: Sequence[int]) -> bool:
    """Do five tokens or more come twice in a row? A caller may say so; Whisper in short context does so oftener."""
    for length in range(5, len(tokens) // 2 + 1):
        for start in range(len(tokens) - 2 * length + 1):
            if tokens[start : start + length] == tokens[start + length : start + 2 * length]:
                return True
    return False


def compression(text: str) -> float:
    """Length over compressed length: 1 for a short sentence, 2.4 and more for a text that repeats itself."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0
