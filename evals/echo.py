"""What the echo guard is worth: `python -m evals.echo --json`.

Agents and callers are the recorded voices of evals/voices and a real reader; the ways back are made by rule
(echo_paths), µ-law on each direction. "Speech" is what Silero's network says of the sound, the recogniser's own judge;
`tandem models fetch silero-vad` brings it.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.caller import wav
from evals.echo_paths import (
    FRAME,
    HUMAN,
    RATE_HZ,
    Sound,
    Way,
    agent_voice,
    arrivals,
    at_level,
    comes_back,
    companded,
    phrase,
)
from services.asr.vad import SileroModel, Vad
from services.common.models import locate
from services.gateway.echo_guard import EchoGuard

SECONDS = 16.0
CALLER_FROM_S = 4.0
"""By then the guard has had time to find the echo; a caller who speaks sooner is heard anyway."""
OVER_FROM_S = SECONDS / 2 + 1
SPEECH = 0.5
ACTIVE_BELOW_PEAK_DB = 25.0
PAIRS = (("af_bella", "bm_george"), ("bm_george", "af_bella"), ("am_michael", "bf_emma"), ("bf_emma", "am_michael"))
SAID = ("interrupt", "book_open", "no_wrong", "person", "hours", "yes_please")


@dataclass(frozen=True, slots=True)
class Scene:
    """`caller_dbov` None: the caller says nothing. `agent`: whether the agent speaks."""

    way: Way
    caller_dbov: float | None = None
    noise_dbov: float = -65.0
    jitter_ms: int = 20
    agent: bool = True
    pair: int = 0


@dataclass(slots=True)
class Score:
    """Counts, summed over scenes."""

    speech_windows: int = 0
    leaked_windows: int = 0
    speech_after_found: int = 0
    leaked_after_found: int = 0
    voiced: int = 0
    passed: int = 0
    suppressed: int = 0
    frames: int = 0
    onsets_ms: list[float] = field(default_factory=list)
    found_ms: list[float] = field(default_factory=list)
    unfound: int = 0


def sound_of(scene: Scene, seed: int) -> tuple[Sound, Sound, Sound]:
    """(agent as sent, line as received, caller alone): -20 dBov, with µ-law on both."""
    rng = np.random.default_rng(seed)
    speaker, other = PAIRS[scene.pair]
    length = int(SECONDS * RATE_HZ)
    agent = companded(agent_voice(speaker, SECONDS, rng)) if scene.agent else np.zeros(length)
    caller = np.zeros(length)
    if scene.caller_dbov is not None:
        at = int((OVER_FROM_S if scene.way.ends else CALLER_FROM_S) * RATE_HZ)
        human = wav.read(HUMAN).astype(np.float64)
        for number, name in enumerate(SAID):
            words = at_level(human if number == 2 else phrase(other, name), scene.caller_dbov)
            if at + len(words) > length:
                break
            caller[at : at + len(words)] = words
            at += len(words) + int(rng.uniform(0.6, 1.2) * RATE_HZ)
    noise = rng.standard_normal(length) * 32768 * 10 ** (scene.noise_dbov / 20)
    line = companded(comes_back(agent, scene.way, rng) + caller + noise)
    return agent, line, caller


def guarded(
    scene: Scene, agent: Sound, line: Sound, seed: int, rate_hz: int = RATE_HZ
) -> tuple[Sound, NDArray[Any], float | None]:
    """(the line after the guard, which frames it called echo, ms to the first delay found)."""
    rng = np.random.default_rng(seed + 1000)
    guard = EchoGuard(RATE_HZ)
    count = len(line) // FRAME
    sent = agent.astype("<i2").reshape(-1, FRAME)
    got = line.astype("<i2").reshape(-1, FRAME)
    slots = list(arrivals(count, scene.jitter_ms, rng))
    echo = np.zeros(count, bool)
    out = np.empty_like(got)
    found: float | None = None
    frame = 0
    for slot in range(count):
        now_us = slot * 20_000
        guard.played(sent[slot].tobytes() if scene.agent and sent[slot].any() else None, now_us)
        while frame < count and slots[frame] <= slot:
            pcm, echo[frame] = guard.judge(got[frame].tobytes(), now_us + 10_000)
            out[frame] = np.frombuffer(pcm, "<i2")
            frame += 1
        if found is None and guard.delay_ms is not None:
            found = slot * 20.0
    out[frame:] = got[frame:]
    return out.ravel().astype(np.float64), echo, found


def speech(model: SileroModel, sound: Sound) -> NDArray[np.bool_]:
    """Silero's verdict, a window of 32 ms each."""
    return np.array([one > SPEECH for _, one in Vad(model, RATE_HZ).hear(sound.astype(np.int16))])


def score(scene: Scene, seed: int, model: SileroModel, into: Score) -> None:
    """Runs the scene and adds what came of it."""
    agent, line, caller = sound_of(scene, seed)
    out, echo, found = guarded(scene, agent, line, seed)
    into.frames += len(echo)
    into.suppressed += int(echo.sum())
    if scene.way.kind != "clean":
        if found is None:
            into.unfound += 1
        else:
            into.found_ms.append(found)
    if scene.caller_dbov is None:
        if scene.way.kind != "clean":
            before, after = speech(model, line), speech(model, out)
            into.speech_windows += int(before.sum())
            into.leaked_windows += int((before & after).sum())
            if found is not None:
                since = int(found / 32) + 1
                into.speech_after_found += int(before[since:].sum())
                into.leaked_after_found += int((before & after)[since:].sum())
        return
    power = (caller.reshape(-1, FRAME) ** 2).mean(axis=1)
    voiced = power > power.max() * 10 ** (-ACTIVE_BELOW_PEAK_DB / 10)
    # A breath or a reader's room is no word: the network must say so too, when it hears the caller alone.
    parts = np.repeat(speech(model, caller), 8)  # of 4 ms
    words: NDArray[np.bool_] = parts[: len(parts) // 5 * 5].reshape(-1, 5)[:, 2]
    voiced[: len(words)] &= words
    into.voiced += int(voiced.sum())
    into.passed += int((voiced & ~echo).sum())
    quiet = 100
    for at in np.flatnonzero(voiced):
        if voiced[max(at - 15, 0) : at].any():
            continue
        passing = np.flatnonzero(~echo[at : at + quiet])
        into.onsets_ms.append(float(passing[0]) * 20.0 if len(passing) else quiet * 20.0)


def scenes() -> dict[str, list[Scene]]:
    """Each group with what it is about."""
    delays, levels = (20, 60, 150, 300, 500, 700), (-6.0, -12.0, -20.0, -30.0)
    ways = [Way(kind, delay, level) for kind in ("hybrid", "speakerphone") for delay in delays for level in levels]
    pairs = range(len(PAIRS))
    clean = Way("clean", 0, 0.0)
    some = [way for way in ways if way.delay_ms in (20, 150, 500) and way.level_db > -25]
    return {
        "echo_hybrid": [Scene(w, pair=n % 4) for n, w in enumerate(ways) if w.kind == "hybrid"],
        "echo_speakerphone": [Scene(w, pair=n % 4) for n, w in enumerate(ways) if w.kind == "speakerphone"],
        "echo_noise": [Scene(w, noise_dbov=-48.0, pair=n % 4) for n, w in enumerate(some)],
        "echo_jump": [Scene(Way(w.kind, w.delay_ms, w.level_db, 90), pair=n % 4) for n, w in enumerate(some)],
        "double_talk_hybrid": [
            Scene(w, dbov, pair=n % 4) for n, w in enumerate(some) for dbov in (-20.0, -26.0) if w.kind == "hybrid"
        ],
        "double_talk_speakerphone": [
            Scene(w, dbov, pair=n % 4) for n, w in enumerate(some) for dbov in (-20.0, -26.0) if w.kind != "hybrid"
        ],
        "double_talk_soft_caller": [Scene(w, -32.0, pair=n % 4) for n, w in enumerate(some)],
        "double_talk_echo_gone": [
            Scene(Way(w.kind, w.delay_ms, w.level_db, ends=True), dbov, pair=n % 4)
            for n, w in enumerate(some)
            for dbov in (-20.0, -32.0)
        ],
        "clean_caller_alone": [Scene(clean, dbov, agent=False, pair=p) for p in pairs for dbov in (-20.0, -32.0)],
        "clean_caller_over_agent": [
            Scene(clean, dbov, noise, pair=p)
            for p in pairs
            for dbov in (-20.0, -32.0)
            for noise in (-65.0, -48.0)
            for _ in range(3)
        ],
    }


def frames_of(sound: Sound, factor: int) -> list[bytes]:
    """20 ms each, every sample `factor` times."""
    return [np.repeat(one, factor).astype("<i2").tobytes() for one in sound.reshape(-1, FRAME)]


def cost(rate_hz: int) -> dict[str, float]:
    """CPU µs a call of `played` and of `judge`: the mean over a call, of the best of five runs of each second."""
    rng = np.random.default_rng(5)
    agent, line, _ = sound_of(Scene(Way("speakerphone", 150, -12.0)), 5)
    hiss = rng.standard_normal(len(line)) * 8
    calls: dict[str, tuple[Sound | None, Sound]] = {
        "silent_agent": (None, line),
        "quiet_caller": (agent, hiss),
        "echo": (agent, line),
    }
    out: dict[str, float] = {}
    for name, (sent, got) in calls.items():
        runs = np.array([timed(rate_hz, sent, got) for _ in range(5)]).min(axis=0).mean(axis=0)
        out |= {f"{name}_played_us": round(float(runs[0]), 2), f"{name}_judge_us": round(float(runs[1]), 2)}
    return out


@cache
def clock_cost_us() -> float:
    """What reading the clock adds to a time taken with it."""
    waits = []
    for _ in range(1000):
        t0 = thread_time()
        waits.append(thread_time() - t0)
    return float(np.median(waits) * 1e6)


def timed(rate_hz: int, sent: Sound | None, got: Sound) -> list[tuple[float, float]]:
    """µs a call of `played` and `judge`, a pair a second of the call."""
    guard = EchoGuard(rate_hz)
    factor = rate_hz // RATE_HZ
    them = frames_of(got, factor)
    us = None if sent is None else frames_of(sent, factor)
    out: list[tuple[float, float]] = []
    for start in range(0, len(them) - 50, 50):
        for_played = for_judged = 0.0
        for at in range(start, start + 50):
            now_us = at * 20_000
            t0 = thread_time()
            guard.played(None if us is None else us[at], now_us)
            t1 = thread_time()
            guard.judge(them[at], now_us)
            for_judged += thread_time() - t1
            for_played += t1 - t0
        clock_us = clock_cost_us()
        out.append((for_played * 1e6 / 50 - clock_us, for_judged * 1e6 / 50 - clock_us))
    return out


def summary(group: str, got: Score) -> dict[str, Any]:
    """Shares in percent, times in ms."""
    out: dict[str, Any] = {"suppressed_frames_pct": round(100 * got.suppressed / got.frames, 2)}
    if got.speech_windows:
        out["echo_suppressed_pct"] = round(100 * (1 - got.leaked_windows / got.speech_windows), 1)
    if got.speech_after_found:
        out["echo_suppressed_after_found_pct"] = round(100 * (1 - got.leaked_after_found / got.speech_after_found), 1)
    if got.found_ms:
        out["found_ms"] = {p: float(np.percentile(got.found_ms, q)) for p, q in (("p50", 50), ("p95", 95))}
    if got.found_ms or got.unfound:
        out["unfound_scenes"] = got.unfound
    if got.voiced:
        out["caller_passed_pct"] = round(100 * got.passed / got.voiced, 2)
        out["onset_ms"] = {p: float(np.percentile(got.onsets_ms, q)) for p, q in (("p50", 50), ("p95", 95))}
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the scores."""
    parser = argparse.ArgumentParser(prog="python -m evals.echo", description="Score the echo guard.")
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--vad", type=Path, help="Silero's ONNX file (default: that of `tandem models`)")
    parser.add_argument("--group", nargs="+", help="only these")
    chosen = parser.parse_args(arguments)
    model = SileroModel(chosen.vad or locate("silero-vad", "silero-vad"))
    result: dict[str, Any] = {}
    for group, members in scenes().items():
        if chosen.group and group not in chosen.group:
            continue
        total = Score()
        for number, scene in enumerate(members):
            score(scene, 100 + number, model, total)
        result[group] = summary(group, total)
        if not chosen.json:
            print(group, json.dumps(result[group]))
    result["cost"] = {f"{rate}_hz": cost(rate) for rate in (8000, 16000)}
    print(json.dumps(result) if chosen.json else json.dumps(result["cost"]))


if __name__ == "__main__":
    main()
