"""A conference's mix on the clock: each leg hears the others and never itself (mix-minus).

Who hears whom is a matter of pairs, so that a whisper reaches one leg and a listener is heard by nobody.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

MAX_LEGS = 8
# The sum stays as it is up to -2.5 dBFS and bends from there towards full scale: a curve without memory or corner can
# neither wrap nor crackle nor pump.
_KNEE = 24_576.0
_ROOM = 32_767.0 - _KNEE

_Plan = tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float32] | None]


class MixerFull(ValueError):
    """A leg more than a conference can have."""


class Mixer:
    """Frames of all legs in, one frame a leg out. Frames are PCM s16le mono, all of one length; None is silence."""

    def __init__(self) -> None:
        self._speaks: dict[str, bool] = {}
        self._hears: dict[str, bool] = {}
        self._muted: set[str] = set()
        self._held: set[str] = set()
        self._whispers: dict[str, str] = {}
        # How to mix, by who is to be heard in this tick: who hears whom changes seldom.
        self._plans: dict[tuple[str, ...], _Plan] = {}

    @property
    def legs(self) -> tuple[str, ...]:
        return tuple(self._speaks)

    def join(self, leg: str, *, speaks: bool = True, hears: bool = True) -> None:
        """A leg that is heard by all (`speaks`) and hears all (`hears`); once more to change that.

        Raises MixerFull.
        """
        if leg not in self._speaks and len(self._speaks) >= MAX_LEGS:
            raise MixerFull(f"a conference has {MAX_LEGS} legs at most; {leg!r} would be one more")
        self._speaks[leg], self._hears[leg] = speaks, hears
        self._plans.clear()

    def leave(self, leg: str) -> None:
        """The leg is gone, and who whispered to it speaks to nobody until told otherwise."""
        self._speaks.pop(leg, None)
        self._hears.pop(leg, None)
        self._muted.discard(leg)
        self._held.discard(leg)
        self._whispers.pop(leg, None)
        self._plans.clear()

    def mute(self, leg: str, muted: bool) -> None:
        """It hears and is not heard, not even as a whisper."""
        self._set(self._muted, leg, muted)

    def hold(self, leg: str, held: bool) -> None:
        """It neither hears nor is heard."""
        self._set(self._held, leg, held)

    def whisper(self, leg: str, to: str | None) -> None:
        """Only `to` hears the leg, whether or not it speaks to all; None ends that."""
        if to is None:
            self._whispers.pop(leg, None)
        elif leg in self._speaks:
            self._whispers[leg] = to
        self._plans.clear()

    def hears(self, listener: str, source: str) -> bool:
        """Whether the one hears the other now."""
        if listener == source or source in self._muted or self._held & {listener, source}:
            return False
        if not self._hears.get(listener, False) or source not in self._speaks:
            return False
        to = self._whispers.get(source)
        return self._speaks[source] if to is None else to == listener

    def mix(self, frames: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """One tick. Who hears one other gets that frame itself; who hears nobody, None."""
        sounding = tuple([leg for leg, frame in frames.items() if frame is not None])
        plan = self._plans.get(sounding)
        if plan is None:
            plan = self._plan(sounding)
        singles, sums, routes = plan
        out = dict(zip(self._speaks, [frames[leg] if leg else None for leg in singles], strict=True))
        if routes is None:
            return out
        sound = b"".join([frames[leg] or b"" for leg in sounding])
        heard = np.frombuffer(sound, "<i2").reshape(len(sounding), -1).astype(np.float32)
        # Whole numbers below 2^24 are exact in float32.
        mixed = routes @ heard
        if mixed.max() > _KNEE or mixed.min() < -_KNEE:
            _limit(mixed)
        made = mixed.astype("<i2").tobytes()
        size = len(made) // len(sums)
        for at, leg in enumerate(sums):
            out[leg] = made[at * size : (at + 1) * size]
        return out

    def _plan(self, sounding: tuple[str, ...]) -> _Plan:
        singles: list[str] = []
        sums: list[str] = []
        rows: list[list[bool]] = []
        for listener in self._speaks:
            row = [self.hears(listener, source) for source in sounding]
            one = sum(row) == 1
            singles.append(sounding[row.index(True)] if one else "")
            if sum(row) > 1:
                sums.append(listener)
                rows.append(row)
        routes = np.array(rows, np.float32) if rows else None
        plan = tuple(singles), tuple(sums), routes
        self._plans[sounding] = plan
        return plan

    def _set(self, legs: set[str], leg: str, on: bool) -> None:
        if not on:
            legs.discard(leg)
        elif leg in self._speaks:
            legs.add(leg)
        self._plans.clear()


def _limit(mixed: NDArray[np.float32]) -> None:
    """In place: what is beyond the knee is bent to stay within full scale."""
    loud = np.abs(mixed)
    bent = _KNEE + _ROOM * np.tanh((loud - _KNEE) / _ROOM)
    np.copyto(mixed, np.copysign(np.rint(bent), mixed), where=loud > _KNEE)
