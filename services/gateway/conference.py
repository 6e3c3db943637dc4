"""The calls of one bridge: who hears whom follows from who is here, who is on hold, and what the AI does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from services.common.media.frame import CONCEALED, DISCONTINUITY, AudioFrame
from services.common.telemetry.log import logger
from services.gateway.bridge import Bridge, BridgeRefused, PcmSource
from services.gateway.hold_music import HoldMusic
from services.gateway.mixer import MAX_LEGS
from services.gateway.whispered_sound import WhisperedSound
from tandem.v1.call_pb2 import BRIDGED_AI_AWAY, BRIDGED_AI_COACHES, BRIDGED_AI_LISTENS, BRIDGED_AI_SPEAKS, BridgedAi

if TYPE_CHECKING:
    from services.gateway.live_call import LiveCall

# Caller, person, a supervisor and one more. Whispers and the AI need places in the mix too.
MOST_CALLS = 4
MOST_WHISPERS = MAX_LEGS - MOST_CALLS - 1
_AI = "ai"  # no call has such an id


class CallLeg:
    """A call's end of a bridge, on one clock for all of the process: each call's own begins with its answer."""

    def __init__(self, bridge: Bridge, call_id: str, clock: Callable[[], int]) -> None:
        self._bridge = bridge
        self._call_id = call_id
        self._clock = clock

    def heard(self, frame: AudioFrame) -> None:
        """What the call's party said."""
        if frame.flags & DISCONTINUITY:
            self._bridge.restart(self._call_id)
        concealed = bool(frame.flags & CONCEALED)
        self._bridge.put(self._call_id, frame.sequence, frame.samples, self._clock(), concealed)

    def frame(self) -> bytes:
        """What the call's party hears in this slot."""
        return self._bridge.frame_for(self._call_id, self._clock())


@dataclass(eq=False, slots=True)
class Member:
    """A call that is here. `told` is what was last told of the conference, so that only news is told."""

    live: LiveCall
    on_hold: bool = False
    """By us."""
    sound: WhisperedSound | None = None
    told: tuple[tuple[str, ...], BridgedAi.ValueType] | None = None


class Conference:
    """Calls in one bridge; one alone waits there with hold music. `settle` is to follow whatever was changed."""

    def __init__(self, music: HoldMusic, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._bridge = Bridge(music)
        self.members: dict[str, Member] = {}
        self.owner: LiveCall | None = None
        """The call whose AI is here; None: no AI is."""
        self.role: BridgedAi.ValueType = BRIDGED_AI_AWAY
        self.coached = ""
        """The call that alone hears an AI that coaches."""

    @property
    def call_ids(self) -> tuple[str, ...]:
        return tuple(self.members)

    @property
    def joined(self) -> bool:
        """Two calls or more are here."""
        return len(self.members) > 1

    def others(self, call_id: str) -> list[str]:
        return [one for one in self.members if one != call_id]

    def role_of(self, live: LiveCall) -> BridgedAi.ValueType:
        """What the AI of this call does; UNSPECIFIED where it has none."""
        if live.agent is None:
            return BridgedAi.BRIDGED_AI_UNSPECIFIED
        return self.role if live is self.owner else BRIDGED_AI_AWAY

    def add(self, member: Member) -> None:
        """Raises BridgeRefused when there is no place. Its sound ends where too many are heard already."""
        if len(self.members) >= MOST_CALLS:
            raise BridgeRefused(f"a bridge has {MOST_CALLS} calls at most")
        live, call_id = member.live, member.live.facts.call_id
        if member.sound is not None and self._whispers >= MOST_WHISPERS:
            member.sound = None
        self._bridge.join(call_id, live.facts.audio.sample_rate_hz)
        self.members[call_id] = member
        if member.sound is not None:
            self._bridge.whisper(call_id, member.sound.next, member.sound.sample_rate_hz)

    def remove(self, call_id: str) -> Member:
        """The call hears nothing more of this bridge. The AI leaves with its own call."""
        member = self.members.pop(call_id)
        heard = self._bridge.statistics(call_id)
        if heard is not None and heard.received:
            # How it came through to the others.
            logger().info("bridge_leg_over", call_id=call_id, **asdict(heard))
        self._bridge.leave(call_id)
        if self.owner is member.live:
            self.owner, self.role = None, BRIDGED_AI_AWAY
        if self.coached == call_id:
            self.coached = ""
            if self.role == BRIDGED_AI_COACHES:
                self.role = BRIDGED_AI_LISTENS
        member.told = None
        return member

    def whisper(self, call_id: str, sound: WhisperedSound | None) -> WhisperedSound | None:
        """In place of the one that plays, which is given back. None only ends that. Raises BridgeRefused."""
        member = self.members[call_id]
        before = member.sound
        if sound is not None:
            if member.on_hold and self.joined:
                raise BridgeRefused(f"call {call_id} is on hold: take it off hold, or its music would stop for all")
            if before is None and self._whispers >= MOST_WHISPERS:
                raise BridgeRefused(f"{MOST_WHISPERS} whispers are heard in this bridge already: wait for one to end")
        member.sound = sound
        if sound is None:
            self._bridge.whisper(call_id, None)
        else:
            self._bridge.whisper(call_id, sound.next, sound.sample_rate_hz)
        return before

    def settle(self) -> None:
        """Puts everybody in the place that follows from what was changed."""
        self._place_ai()
        for call_id, member in self.members.items():
            live = member.live
            self._bridge.hold(call_id, self._hears_music(call_id, member))
            if live.party is not None:
                heeded = not member.on_hold and self.role_of(live) != BRIDGED_AI_AWAY
                live.party.join(CallLeg(self._bridge, call_id, self._clock), heeded)

    # Inside

    @property
    def _whispers(self) -> int:
        return sum(one.sound is not None for one in self.members.values())

    def _hears_music(self, call_id: str, member: Member) -> bool:
        """It hears nobody: on hold by us or by its own side, or there is nobody to be heard."""
        if member.live.media.held:
            return True
        if member.on_hold:
            return member.sound is None
        if member.sound is not None or self.role == BRIDGED_AI_SPEAKS or self.coached == call_id:
            return False
        # Who was put on hold by us knows it from us; of a side that went away by itself the music tells.
        return all(self.members[one].live.media.held for one in self.others(call_id))

    def _place_ai(self) -> None:
        here = _AI in self._bridge.legs
        if self.owner is None or self.owner.agent is None or self.role == BRIDGED_AI_AWAY:
            self._bridge.leave(_AI)
            return
        if not here:
            self._bridge.join(_AI, self.owner.facts.audio.sample_rate_hz, source=_speech(self.owner))
        self._bridge.listen(_AI, self.role != BRIDGED_AI_SPEAKS)
        self._bridge.coach(_AI, self.coached if self.role == BRIDGED_AI_COACHES else None)


def _speech(live: LiveCall) -> PcmSource:
    def source() -> bytes | None:
        return None if live.agent is None else live.agent.next_speech(live.call_time())

    return source
