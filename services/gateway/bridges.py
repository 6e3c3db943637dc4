"""The bridges of this gateway: calls joined and parted, held and whispered to, and what follows when one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from services.common.telemetry.log import logger
from services.gateway.bridge import BridgeRefused
from services.gateway.conference import MOST_CALLS, Conference, Member
from services.gateway.hold_music import HoldMusic
from services.gateway.live_call import LiveCall
from services.gateway.ticker import now_us
from services.gateway.whispered_sound import WhisperedSound
from tandem.v1 import brain_pb2, call_pb2
from tandem.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

ALONE = "the other side hung up"
_AWAY, _LISTENS, _COACHES = call_pb2.BRIDGED_AI_AWAY, call_pb2.BRIDGED_AI_LISTENS, call_pb2.BRIDGED_AI_COACHES


@cache
def melody() -> HoldMusic:
    """What is heard where the settings name no file. Made once, in some 60 ms."""
    return HoldMusic.default()


class Bridges:
    """Commands raise BridgeRefused when a call is in no state for them; its text is for who asked."""

    def __init__(self, board: Switchboard, clock: Callable[[], int] = now_us) -> None:
        """`clock`: microseconds, one for all calls."""
        self.clock = clock
        self._board = board
        self.music: HoldMusic | None = None
        """What is heard on hold; `melody` by default. Whoever starts the gateway makes it before the first call."""
        self._of: dict[str, Conference] = {}

    def conference(self, live: LiveCall) -> Conference | None:
        """The one that the call is in, be it alone."""
        return self._of.get(live.facts.call_id)

    # Commands

    def wait(self, live: LiveCall) -> None:
        """A person answered: music until somebody is there."""
        conference = self._new()
        self._add(conference, Member(live))
        conference.settle()

    def bridge(self, live: LiveCall, other: LiveCall, ai: call_pb2.BridgedAi.ValueType) -> tuple[str, ...]:
        """Joins the two; gives the ids of all calls that are together then."""
        if live is other:
            raise BridgeRefused(f"call {live.facts.call_id} can't be joined with itself")
        for one in (live, other):
            _bridgeable(one)
        here, there = self.conference(live), self.conference(other)
        if here is not there and here is not None and there is not None and here.joined and there.joined:
            raise BridgeRefused(
                f"calls {live.facts.call_id} and {other.facts.call_id} are in two bridges: take one of them out first"
            )
        conference = next((one for one in (here, there) if one is not None and one.joined), None)
        conference = conference or here or there or self._new()
        known = conference.joined
        owner = conference.owner or next((one for one in (live, other) if one.agent is not None), None)
        if owner is None and ai not in (call_pb2.BRIDGED_AI_UNSPECIFIED, _LISTENS, _AWAY):
            raise BridgeRefused(f"neither {live.facts.call_id} nor {other.facts.call_id} has an AI that could speak")
        coming = [one for one in (live, other) if self.conference(one) is not conference]
        if len(conference.members) + len(coming) > MOST_CALLS:
            raise BridgeRefused(f"a bridge has {MOST_CALLS} calls at most: {', '.join(conference.call_ids)} are there")
        for one in coming:
            before = self._of.pop(one.facts.call_id, None)
            self._add(conference, Member(one) if before is None else before.remove(one.facts.call_id))
        if ai or not known or conference.owner is not owner:
            conference.owner = owner
            conference.role, conference.coached = (ai or _LISTENS) if owner is not None else _AWAY, ""
        for one in (live, other):
            self._release(conference.members[one.facts.call_id])
        self._settle(conference)
        logger().info("calls_bridged", call_ids=list(conference.call_ids), ai=call_pb2.BridgedAi.Name(conference.role))
        return conference.call_ids

    def unbridge(self, live: LiveCall, reason: str) -> None:
        """The call goes back to its AI, or to hold music."""
        conference = self.conference(live)
        if conference is None or not (conference.joined or conference.members[live.facts.call_id].on_hold):
            raise BridgeRefused(f"call {live.facts.call_id} is in no bridge")
        self._part(conference, live, reason, ended=False)

    def hold(self, live: LiveCall, on_hold: bool) -> None:
        """Music instead of the others; a call that is alone with its AI hears music too, and the AI is away."""
        _bridgeable(live)
        conference = self.conference(live)
        if conference is None:
            if not on_hold:
                return
            conference = self._new()
            self._add(conference, Member(live))
        member = conference.members[live.facts.call_id]
        if member.on_hold == on_hold:
            return
        if not on_hold and not conference.joined and live.agent is not None:
            self._part(conference, live, "hold is over", ended=False)
            return
        if on_hold and conference.joined and member.sound is not None:
            self.whisper(live, None)
        member.on_hold = on_hold
        live.tell(pb.WatchResponse(held=pb.Held(on_hold=on_hold)))
        self._settle(conference)

    def whisper(self, live: LiveCall, sound: WhisperedSound | None) -> None:
        """The call hears `sound` beside the others, or instead of the music; None ends what it hears."""
        conference = self._here(live)
        before = conference.whisper(live.facts.call_id, sound)
        if sound is not None:
            # The last frame is taken within a mix, in which nothing may change.
            sound.on_over = lambda: self._soon(self._whispered, live, sound)
        if before is not None:
            live.tell(pb.WatchResponse(whisper_over=pb.WhisperOver(played=False)))
        conference.settle()

    def coach(self, live: LiveCall, coached: bool) -> None:
        """Only this call hears the AI, or the AI listens again."""
        conference = self._here(live)
        if not conference.joined or conference.owner is None:
            raise BridgeRefused(f"call {live.facts.call_id} is in no bridge with an AI")
        if coached:
            conference.role, conference.coached = _COACHES, live.facts.call_id
        elif conference.role == _COACHES and conference.coached == live.facts.call_id:
            conference.role, conference.coached = _LISTENS, ""
        self._settle(conference)

    # What happens to calls

    def held_by_peer(self, live: LiveCall) -> None:
        """A re-INVITE put the call on hold or took it back: who is alone with it hears music meanwhile."""
        conference = self.conference(live)
        if conference is not None:
            conference.settle()

    def ended(self, live: LiveCall) -> None:
        """The call is over."""
        conference = self.conference(live)
        if conference is not None:
            self._part(conference, live, "", ended=True)

    # Inside

    def _soon(self, action: Callable[..., None], *args: object) -> None:
        asyncio.get_running_loop().call_soon(action, *args)

    def _new(self) -> Conference:
        if self.music is None:
            self.music = melody()
        return Conference(self.music, lambda: self.clock())

    def _add(self, conference: Conference, member: Member) -> None:
        sound = member.sound
        conference.add(member)
        self._of[member.live.facts.call_id] = conference
        if sound is not None and member.sound is None:
            member.live.tell(pb.WatchResponse(whisper_over=pb.WhisperOver(played=False)))

    def _here(self, live: LiveCall) -> Conference:
        conference = self.conference(live)
        if conference is None:
            raise BridgeRefused(f"call {live.facts.call_id} is in no bridge and does not wait for one")
        return conference

    def _release(self, member: Member) -> None:
        if member.on_hold:
            member.on_hold = False
            member.live.tell(pb.WatchResponse(held=pb.Held(on_hold=False)))

    def _part(self, conference: Conference, live: LiveCall, reason: str, ended: bool) -> None:
        joined = conference.joined
        member = conference.remove(live.facts.call_id)
        del self._of[live.facts.call_id]
        if not ended:
            self._release(member)
            self._alone(member, reason)
        if len(conference.members) != 1:
            self._settle(conference)
            return
        (last,) = conference.members.values()
        if last.on_hold and not ended:
            last.live.tell(pb.WatchResponse(left_bridge=pb.LeftBridge(reason=reason, to_ai=False)))
            self._settle(conference)
            return
        conference.remove(last.live.facts.call_id)
        del self._of[last.live.facts.call_id]
        self._release(last)
        reason = ALONE if ended else reason
        if ended and last.live.agent is None:
            if joined:
                last.live.tell(pb.WatchResponse(left_bridge=pb.LeftBridge(reason=reason)))
            self._board.hang_up(last.live, reason)
        else:
            self._alone(last, reason)

    def _alone(self, member: Member, reason: str) -> None:
        """Back to the AI; or it waits, for there is none."""
        live = member.live
        logger().info("call_left_bridge", call_id=live.facts.call_id, why=reason)
        live.tell(pb.WatchResponse(left_bridge=pb.LeftBridge(reason=reason, to_ai=live.agent is not None)))
        if live.agent is None:
            conference = self._new()
            self._add(conference, member)
            conference.settle()
            return
        if member.sound is not None:
            live.tell(pb.WatchResponse(whisper_over=pb.WhisperOver(played=False)))
        live.agent.bridge_changed(brain_pb2.BridgeChanged(left=brain_pb2.BridgeLeft(reason=reason)))
        live.agent.join(None)

    def _settle(self, conference: Conference) -> None:
        """And tells the news."""
        conference.settle()
        for call_id, member in conference.members.items():
            live, role = member.live, conference.role_of(member.live)
            news = conference.call_ids, conference.role
            if member.told == news:
                continue
            member.told = news
            if conference.joined:
                bridged = pb.Bridged(call_ids=conference.call_ids, ai=conference.role)
                live.tell(pb.WatchResponse(bridged=bridged))
            if live.agent is not None:
                joined = brain_pb2.BridgeJoined(other_call_ids=conference.others(call_id), ai=role)
                live.agent.bridge_changed(brain_pb2.BridgeChanged(joined=joined))

    def _whispered(self, live: LiveCall, sound: WhisperedSound) -> None:
        conference = self.conference(live)
        member = None if conference is None else conference.members[live.facts.call_id]
        if conference is None or member is None or member.sound is not sound:
            return
        conference.whisper(live.facts.call_id, None)
        conference.settle()
        live.tell(pb.WatchResponse(whisper_over=pb.WhisperOver(played=True)))


def _bridgeable(live: LiveCall) -> None:
    if live.party is None:
        raise BridgeRefused(f"call {live.facts.call_id} is a call to the echo number: it can't be bridged")
