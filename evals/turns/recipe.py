"""The recipe of the turn-taking set: which cases there are, and the sound of each. The same on every machine.

A case is one stretch of a call as the gateway would hear it: 8 kHz, through µ-law, the caller's recordings (Kokoro
voices, see evals/voices/LICENSES.md) laid over noise that code makes. Kinds:

- interruption: words that want the turn, over agent speech;
- backchannel, cough, breath, slam, typing, side_talk: sounds over agent speech that do not;
- unfinished: a turn with a silence cut in between two words, and the turn goes on; and then ends;
- finished: a turn.

Splits share neither a voice nor a phrase; sounds made by code differ by their seed alone.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from evals.caller import ear, g711, wav
from evals.turns import noises
from evals.turns.noises import RATE_HZ, Sound
from evals.turns.phrases import HERE, HOW_CAN_I_HELP, Phrase, Split, phrases, recording, voices

GAPS = HERE / "gaps.json"
"""{voice: {phrase: [sample of each mark in the recording]}}, found by gaps.py."""

SPEECH_DBOV = -26.0
"""What the recordings are levelled to (ITU-T P.56)."""
IDLE_DBOV = -65.0
"""Noise of a quiet line; no line is silent."""
AUDIBLE_DBFS = -50.0
PAUSES_MS = (300, 500, 700, 900)
TAIL_MS = 3000
"""Heard after the last word: longer than any turn waits for its end."""
FADE = 40
"""5 ms: a cut between two words must not click."""


class Kind(Enum):
    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"
    COUGH = "cough"
    BREATH = "breath"
    SLAM = "slam"
    TYPING = "typing"
    SIDE_TALK = "side_talk"
    UNFINISHED = "unfinished"
    FINISHED = "finished"

    @property
    def over_agent(self) -> bool:
        """Is the agent speaking?"""
        return self not in (Kind.UNFINISHED, Kind.FINISHED)

    @property
    def to_ignore(self) -> bool:
        return self.over_agent and self is not Kind.INTERRUPTION


MADE = {Kind.COUGH: noises.cough, Kind.BREATH: noises.breath, Kind.SLAM: noises.slam, Kind.TYPING: noises.typing}


@dataclass(frozen=True, slots=True)
class Line:
    """Noise of the whole stretch, that many dB under the caller; None: a quiet line."""

    noise: str
    snr_db: float | None


LINES = (
    Line("idle", None),
    Line("babble", 15),
    Line("pink", 15),
    Line("idle", None),
    Line("white", 20),
    Line("hum", 20),
    Line("babble", 10),
    Line("keys", 15),
    Line("pink", 10),
)
LEVELS_DB = (0.0, 0.0, 5.0, -6.0)
"""Callers are loud or soft; the noise goes with them."""


@dataclass(frozen=True, slots=True)
class Case:
    """`onset_ms`: when the caller's sound begins. `gap`, `pause_ms`: the mark and the silence there, in UNFINISHED.

    `after`: what the caller said before, to which the agent's speech is the answer; None: the agent greets.
    """

    kind: Kind
    split: Split
    number: int
    line: Line
    onset_ms: int
    level_db: float = 0.0
    voice: str | None = None
    phrase: Phrase | None = None
    gap: int | None = None
    pause_ms: int = 0
    after: str | None = None

    @property
    def name(self) -> str:
        noise = self.line.noise if self.line.snr_db is None else f"{self.line.noise}{self.line.snr_db:g}"
        said = f"{self.voice}/{self.phrase.name}" if self.phrase else f"{self.number}"
        pause = f"/gap{self.gap}+{self.pause_ms}" if self.gap is not None else ""
        return f"{self.kind.value}/{said}{pause}/{noise}/{self.onset_ms}{self.level_db:+g}dB"

    @property
    def open_pause(self) -> bool:
        """Does what came before the pause ask for more (no turn could end there)?"""
        return self.gap is not None and self.phrase is not None and not self.phrase.complete[self.gap]

    @property
    def question(self) -> str:
        return self.phrase.question if self.phrase and not self.kind.over_agent else HOW_CAN_I_HELP

    def generator(self) -> Generator:
        digest = hashlib.sha256(f"{self.split.value}/{self.name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big"))


@dataclass(frozen=True, slots=True)
class Rendered:
    """A case's sound as the gateway hears it, int16 at 8 kHz from call time 0; times in microseconds.

    `onset_us` and `end_us`: first and last audible sample of the sound that the case is about. `pause_us`: the last
    audible sample before the cut-in silence and the first behind it.
    """

    samples: NDArray[np.int16]
    onset_us: int
    end_us: int
    pause_us: tuple[int, int] | None


def cases(split: Split) -> tuple[Case, ...]:
    """Every case of a split, in a fixed order."""
    return (*_interruptions(split), *_backchannels(split), *_sounds(split), *_unfinished(split), *_finished(split))


def tenth(every: tuple[Case, ...]) -> tuple[Case, ...]:
    """Each tenth case of each kind, at least two of each."""
    some: list[Case] = []
    for kind in Kind:
        of = [one for one in every if one.kind is kind]
        some += of[:: max(min(10, len(of) // 2), 1)]
    return tuple(some)


def _spoken(split: Split, kind: Kind, times: int) -> Iterator[tuple[int, int, str, Phrase]]:
    number = 0
    for phrase in phrases(split, kind.value):
        for voice in voices(split):
            for time in range(times):
                yield number, time, voice, phrase
                number += 1


def _onset_ms(number: int) -> int:
    """Anywhere in a word of the agent's, early and late."""
    return 900 + (number * 617) % 4500


def _interruptions(split: Split) -> Iterator[Case]:
    kind = Kind.INTERRUPTION
    for number, _, voice, phrase in _spoken(split, kind, 3 if split is Split.SCORE else 2):
        yield Case(kind, split, number, _line(number), _onset_ms(number), _level(number), voice, phrase)


def _backchannels(split: Split) -> Iterator[Case]:
    kind = Kind.BACKCHANNEL
    for number, _, voice, phrase in _spoken(split, kind, 3 if split is Split.SCORE else 2):
        yield Case(kind, split, number, _line(number + 4), _onset_ms(number), _level(number), voice, phrase)


def _sounds(split: Split) -> Iterator[Case]:
    part = 1 if split is Split.SCORE else 2
    for kind, count in ((Kind.COUGH, 14), (Kind.BREATH, 6), (Kind.SLAM, 6), (Kind.TYPING, 6)):
        for number in range(count // part):
            yield Case(kind, split, number, _line(number), _onset_ms(number + 3))
    talkers = voices(split)
    said = [phrase for one in ("side", "finished", "unfinished") for phrase in phrases(split, one)]
    # In one breath: a pause would be answered, and the rest interrupt that answer.
    before = [one for one in phrases(split, "finished") if not set(one.text[:-1]) & set(",.?!")]
    for number in range(14 // part):
        # The caller spoke before: their level is known, and the talk lies 14 to 22 dB under it.
        yield Case(
            Kind.SIDE_TALK,
            split,
            number,
            _line(number % 2 * 3),
            _onset_ms(number) + 5000,
            -14.0 - number * 5 % 9,
            talkers[number % len(talkers)],
            said[number // 2 % len(said)],
            after=before[number % len(before)].name,
        )


def _unfinished(split: Split) -> Iterator[Case]:
    kind = Kind.UNFINISHED
    for number, time, voice, phrase in _spoken(split, kind, 3):
        gap = (time + number // 3) % len(phrase.complete)
        # A fifth step once a round of pauses keeps pause and gap apart.
        pause_ms = PAUSES_MS[(number + number // 12) % len(PAUSES_MS)]
        yield Case(kind, split, number, _line(number), 600, _level(number), voice, phrase, gap, pause_ms)


def _finished(split: Split) -> Iterator[Case]:
    kind = Kind.FINISHED
    for number, _, voice, phrase in _spoken(split, kind, 1):
        yield Case(kind, split, number, _line(number), 600, _level(number), voice, phrase)


def _line(number: int) -> Line:
    return LINES[number % len(LINES)]


def _level(number: int) -> float:
    return LEVELS_DB[number % len(LEVELS_DB)]


# The sound.


@cache
def _recorded(voice: str, name: str) -> Sound:
    return wav.read(recording(voice, name)).astype(np.float64)


@cache
def gaps() -> dict[str, dict[str, list[int]]]:
    told: dict[str, dict[str, list[int]]] = json.loads(GAPS.read_text("utf-8"))
    return told


def render(case: Case) -> Rendered:
    """The case as the gateway hears it."""
    rng = case.generator()
    sound, cut = _said(case, rng)
    loud = ear.stretches(sound.astype(np.int16), AUDIBLE_DBFS + min(case.level_db, 0.0))
    first, last = (loud[0].from_ms, loud[-1].to_ms) if loud else (0.0, len(sound) * 1000 / RATE_HZ)
    length = case.onset_ms + round(last) + TAIL_MS
    line = _noise(case, length * RATE_HZ // 1000, rng)
    at = (case.onset_ms - round(first)) * RATE_HZ // 1000
    line[at : at + len(sound)] += sound
    if case.after is not None:
        before = _recorded(_other(case), case.after)
        line[RATE_HZ // 2 : RATE_HZ // 2 + len(before)] += before
    start_us = at * 1_000_000 // RATE_HZ
    pause_us = (start_us + cut[0] * 125, start_us + cut[1] * 125) if cut else None
    return Rendered(_telephone(line), case.onset_ms * 1000, start_us + round(last * 1000), pause_us)


def _said(case: Case, rng: Generator) -> tuple[Sound, tuple[int, int] | None]:
    """(the sound at its level, (last sample before the cut-in silence, first behind it))"""
    if case.kind in MADE:
        return MADE[case.kind](rng), None
    assert case.voice is not None
    assert case.phrase is not None
    sound = _recorded(case.voice, case.phrase.name)
    cut = None
    if case.gap is not None:
        sound, cut = with_pause(sound, gaps()[case.voice][case.phrase.name][case.gap], case.pause_ms)
    if case.kind is Kind.SIDE_TALK:
        dull = noises.distant(sound, rng)
        sound = dull * (np.sqrt((sound**2).mean()) / np.sqrt((dull**2).mean()))
    return sound * 10 ** (case.level_db / 20), cut


def with_pause(sound: Sound, at: int, pause_ms: int) -> tuple[Sound, tuple[int, int]]:
    """The recording with a silence of this length at sample `at`, in place of the quiet that is there.

    Returns the sound, and where the silence begins and ends in it.
    """
    window = RATE_HZ * 5 // 1000
    quiet = noises.amplitude(AUDIBLE_DBFS)
    left = right = at
    while left >= window and np.sqrt((sound[left - window : left] ** 2).mean()) < quiet:
        left -= window
    while right + window <= len(sound) and np.sqrt((sound[right : right + window] ** 2).mean()) < quiet:
        right += window
    head, rest = sound[:left].copy(), sound[right:].copy()
    fade = np.linspace(1.0, 0.0, FADE)
    head[-FADE:] *= fade
    rest[:FADE] *= fade[::-1]
    silence = np.zeros(pause_ms * RATE_HZ // 1000)
    return np.concatenate([head, silence, rest]), (left, left + len(silence))


def _other(case: Case) -> str:
    """Who rings, when `case.voice` only talks in the room."""
    every = voices(case.split)
    return every[(every.index(case.voice) + 1) % len(every)] if case.voice in every else every[0]


def _noise(case: Case, length: int, rng: Generator) -> Sound:
    sound = noises.at_rms(noises.white(length, rng), IDLE_DBOV)
    if case.line.snr_db is None:
        return sound
    match case.line.noise:
        case "white":
            made = noises.white(length, rng)
        case "pink":
            made = noises.pink(length, rng)
        case "hum":
            made = noises.hum(length, rng)
        case "keys":
            made = noises.keys(length, rng)
        case _:
            made = noises.babble(length, _talk(case), rng)
    level_db = case.level_db if case.kind is not Kind.SIDE_TALK else 0.0
    return sound + noises.at_rms(made, SPEECH_DBOV + level_db - case.line.snr_db)


def _talk(case: Case) -> list[Sound]:
    """What other voices of the split say."""
    others = [voice for voice in voices(case.split) if voice != case.voice]
    return [_recorded(voice, one.name) for voice in others for one in phrases(case.split) if one != case.phrase]


def _telephone(line: Sound) -> NDArray[np.int16]:
    linear = np.clip(np.round(line), -32767, 32767).astype(np.int16)
    return g711.decode(g711.encode(linear, g711.PCMU), g711.PCMU)
