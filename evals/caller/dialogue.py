"""The caller's script: what to say, and when it is the caller's turn. Pure: times and what the ear heard in, acts out.

A caller does what people do: waits until the agent has spoken and then been silent for a moment, and speaks then.
Times are milliseconds on the caller's clock, which starts with the 200 OK.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from evals.caller.ear import Ear
from evals.caller.rtp import KEYS
from evals.caller.transferee import TransferPlan

WAIT_SILENCE_MS = 700.0
PATIENCE_S = 12.0
LINGER_S = 6.0


class ScriptError(ValueError):
    """A script with a mistake in it: names the file, the place, what was found and what is expected."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing the caller does. Exactly one of `say`, `dtmf`, `silence_s`, `hang_up` is set.

    It begins when the agent has spoken and been silent for `wait_silence_ms`; with `interrupt_after_ms`, so long after
    the agent began to speak (or after its silence, when it says less than that); with `gap_ms`, so long after the
    caller's own last words; with `after` "refer", the agent must have spoken since a transfer came to its end. Nothing
    heard for `patience_s` meanwhile: the caller hangs up.
    """

    say: str = ""
    dtmf: str = ""
    silence_s: float | None = None
    hang_up: bool = False
    wait_silence_ms: float = WAIT_SILENCE_MS
    patience_s: float = PATIENCE_S
    interrupt_after_ms: float | None = None
    gap_ms: float | None = None
    after: str = "agent"


@dataclass(frozen=True, slots=True)
class Script:
    """A dialogue script. `linger_s`: silence after which the caller hangs up when all turns are done."""

    name: str
    turns: tuple[Turn, ...]
    voice: str = "am_michael"
    linger_s: float = LINGER_S
    transfer: TransferPlan = field(default_factory=TransferPlan)


_NUMBER, _TEXT = (int, float), (str,)
_TURN: dict[str, tuple[type, ...]] = {
    "say": _TEXT, "dtmf": _TEXT, "silence_s": _NUMBER, "hang_up": (bool,), "wait_silence_ms": _NUMBER,
    "patience_s": _NUMBER, "interrupt_after_ms": _NUMBER, "gap_ms": _NUMBER, "after": _TEXT,
}  # fmt: skip
_SCRIPT: dict[str, tuple[type, ...]] = {
    "about": _TEXT, "voice": _TEXT, "wait_silence_ms": _NUMBER, "patience_s": _NUMBER, "linger_s": _NUMBER,
    "transfer": (dict,), "turns": (list,),
}  # fmt: skip
_TRANSFER: dict[str, tuple[type, ...]] = {"respond": (int,), "notify": (list,), "every_ms": _NUMBER}


def load(path: Path) -> Script:
    """Read a script. Raises ScriptError, OSError."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as problem:
        raise ScriptError(f"{path}: not YAML: {problem}") from problem
    _check(data, _SCRIPT, str(path))
    if not data.get("turns"):
        raise ScriptError(f"{path}: turns: expected a list with at least one turn")
    defaults = {key: data[key] for key in ("wait_silence_ms", "patience_s") if key in data}
    turns = tuple(_turn(one, defaults, f"{path}: turns[{index}]") for index, one in enumerate(data["turns"]))
    transfer = data.get("transfer", {})
    _check(transfer, _TRANSFER, f"{path}: transfer")
    settings: dict[str, Any] = {**transfer}
    if "notify" in settings:
        settings["notify"] = tuple(settings["notify"])
    plan = TransferPlan(**settings)
    if not all(isinstance(one, int) and 100 <= one <= 699 for one in (plan.respond, *plan.notify)):
        raise ScriptError(f"{path}: transfer: {transfer}, expected SIP statuses, as in notify: [100, 180, 200]")
    voice, linger_s = data.get("voice", "am_michael"), float(data.get("linger_s", LINGER_S))
    return Script(path.stem, turns, voice, linger_s, plan)


def _turn(data: Any, defaults: Mapping[str, float], where: str) -> Turn:
    _check(data, _TURN, where)
    doing = [key for key in ("say", "dtmf", "silence_s", "hang_up") if key in data]
    if len(doing) != 1:
        raise ScriptError(f"{where}: has {doing or 'nothing to do'}, expected one of say, dtmf, silence_s, hang_up")
    turn = Turn(**{**defaults, **data})
    if turn.after not in ("agent", "refer"):
        raise ScriptError(f"{where}.after: {turn.after!r}, expected agent or refer")
    if set(turn.dtmf.upper()) - set(KEYS):
        raise ScriptError(f"{where}.dtmf: {turn.dtmf!r}, expected keys of {KEYS} (in quotes)")
    return turn


def _check(data: Any, known: Mapping[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(data, dict):
        raise ScriptError(f"{where}: {data!r}, expected a mapping with keys of {', '.join(known)}")
    for key, value in data.items():
        if key not in known:
            raise ScriptError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
        if not isinstance(value, known[key]) or (isinstance(value, bool) and bool not in known[key]):
            expected = " or ".join(one.__name__ for one in known[key])
            raise ScriptError(f"{where}.{key}: {value!r}, expected {expected}")


@dataclass(frozen=True, slots=True)
class HangUp:
    """The caller puts the receiver down. `outcome`: completed, or impatient when the agent did not speak."""

    outcome: str
    why: str


Act = Turn | HangUp


class Dialogue:
    """Goes through a script. Ask `step` often; tell `began` and `ended` when the caller's own voice does."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.done = 0
        """Turns that have been acted out."""
        self._speaking = False
        self._own_ms = 0.0  # the end of the caller's own last words
        self._silent_until_ms: float | None = None

    def ended(self, at_ms: float) -> None:
        """The caller's last audible sample went out at `at_ms`, and the phrase or key is over."""
        self._speaking, self._own_ms = False, max(self._own_ms, at_ms)
        self.done += 1

    def step(self, now_ms: float, ear: Ear, refer_done_ms: float | None = None, refer_pending: bool = False
             ) -> Act | None:  # fmt: skip
        """What to do at `now_ms`, if anything: a Turn to speak or press, or HangUp. Silence is kept in here."""
        if self._speaking:
            return None
        if self._silent_until_ms is not None:
            if now_ms < self._silent_until_ms:
                return None
            self._silent_until_ms = None
            self.done += 1
        if self.done == len(self.script.turns):
            return self._linger(now_ms, ear, refer_pending)
        turn = self.script.turns[self.done]
        if not self._my_turn(turn, now_ms, ear, refer_done_ms):
            waited_ms = now_ms - max(self._quiet_since(ear), refer_done_ms or 0.0)
            if ear.speaking or refer_pending or waited_ms < turn.patience_s * 1000:
                return None
            return HangUp("impatient", f"turn {self.done + 1}: heard nothing for {turn.patience_s:g} s")
        if turn.silence_s is not None:
            self._silent_until_ms = now_ms + turn.silence_s * 1000
            return None
        if turn.hang_up:
            self.done += 1
            return HangUp("completed", "the script says so")
        self._speaking = True
        return turn

    def _my_turn(self, turn: Turn, now_ms: float, ear: Ear, refer_done_ms: float | None) -> bool:
        if turn.gap_ms is not None:
            return now_ms >= self._own_ms + turn.gap_ms
        since_ms = self._own_ms
        if turn.after == "refer":
            if refer_done_ms is None:
                return False
            since_ms = max(since_ms, refer_done_ms)
        spoken = [one for one in ear.speech if one.to_ms > since_ms]
        if not spoken:
            return False
        if turn.interrupt_after_ms is not None and ear.speaking:
            return now_ms >= max(spoken[0].from_ms, since_ms) + turn.interrupt_after_ms
        return ear.quiet_ms(now_ms) >= turn.wait_silence_ms

    def _linger(self, now_ms: float, ear: Ear, refer_pending: bool) -> HangUp | None:
        quiet_ms = now_ms - self._quiet_since(ear)
        if refer_pending or ear.speaking or quiet_ms < self.script.linger_s * 1000:
            return None
        return HangUp("completed", f"all said, and {self.script.linger_s:g} s of silence")

    def _quiet_since(self, ear: Ear) -> float:
        return max(self._own_ms, ear.speech[-1].to_ms if ear.speech else 0.0)
