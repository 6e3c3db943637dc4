"""Calls joined, held, whispered to and parted, on a switchboard without sockets: what each one's phone hears."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from services.gateway.bridge import BridgeRefused
from services.gateway.bridges import ALONE
from services.gateway.codecs.g711 import PCMU
from services.gateway.dtmf import Digit
from services.gateway.live_call import LiveCall
from services.gateway.sip.call import Call
from services.gateway.whispered_sound import WhisperedSound
from tandem.v1 import call_pb2
from tandem.v1 import gateway_pb2 as pb
from tests.unit.gateway.office import Office, sdp

CALLER_HZ, PERSON_HZ, THIRD_HZ, AI_HZ, SOUND_HZ = 400.0, 700.0, 1000.0, 1500.0, 2100.0
LISTENS, SPEAKS, AWAY = call_pb2.BRIDGED_AI_LISTENS, call_pb2.BRIDGED_AI_SPEAKS, call_pb2.BRIDGED_AI_AWAY
UNSPECIFIED = call_pb2.BRIDGED_AI_UNSPECIFIED


def tone(hz: float, ms: int, level: int = 6000) -> bytes:
    return (level * np.sin(2 * np.pi * hz * np.arange(8 * ms) / 8000)).astype("<i2").tobytes()


def loudness(pcm: bytes, hz: float) -> float:
    """The share of that frequency, as an amplitude."""
    wave = np.frombuffer(pcm, "<i2").astype(float)
    turn = np.exp(-2j * np.pi * hz * np.arange(len(wave)) / 8000)
    return float(2 * np.abs((wave * np.hanning(len(wave)) * 2) @ turn) / max(len(wave), 1))


class Phone:
    """The media of one call's far end: says a tone, or nothing."""

    def __init__(self, one: Office, live: LiveCall, sip: Call, port: int, hz: float) -> None:
        self.office, self.live, self.sip, self.port, self.hz = one, live, sip, port, hz
        (self.media,) = [each for each in one.ports if each.port == live.media.transport.port]
        self.sequence = 0
        self.events: asyncio.Queue[pb.WatchResponse] = asyncio.Queue()
        live.watchers.add(self.events)

    @property
    def id(self) -> str:
        return self.live.facts.call_id

    def send(self) -> None:
        said = tone(self.hz, 4000)
        at = 320 * (self.sequence % 100)
        head = struct.pack("!BBHII", 0x80, 0, self.sequence, 160 * self.sequence, self.port)
        self.media.on_datagram(head + PCMU.encode(said[at : at + 320]), ("127.0.0.1", self.port))
        self.sequence += 1

    def told(self) -> list[pb.WatchResponse]:
        return [self.events.get_nowait() for _ in range(self.events.qsize())]


class Line:
    """Phones at one gateway."""

    def __init__(self, one: Office) -> None:
        self.office = one
        self.phones: list[Phone] = []
        self.port = 4000

    def caller(self, user: str = "front_desk", hz: float = CALLER_HZ) -> Phone:
        self.port += 2
        sip = self.office.carrier.invite(user, sdp(self.port))
        (live,) = [one for one in self.office.board.calls.values() if one.sip.call_id == sip.call_id]
        return self._phone(live, sip, hz)

    def person(self, hz: float = PERSON_HZ) -> Phone:
        self.port += 2
        placed = self.office.place(agent="", hold_for_bridge=True)
        sip = self.office.carrier.called[-1]
        self.office.carrier.answer(sip, self.port)
        return self._phone(self.office.board.calls[placed.told[-1].answered.call_id], sip, hz)

    def _phone(self, live: LiveCall, sip: Call, hz: float) -> Phone:
        self.phones.append(Phone(self.office, live, sip, self.port, hz))
        return self.phones[-1]

    def talk(self, ms: int = 800, silent: tuple[Phone, ...] = ()) -> dict[Phone, bytes]:
        """All speak at once; what each heard."""
        there = [one for one in self.phones if one.media.open]
        starts = {one: len(one.media.sent) for one in there}
        for _ in range(ms // 20):
            self.office.clock.now += 0.02
            for one in there:
                if one not in silent:
                    one.send()
            self.office.ticks.tick()
        heard = {}
        for one in there:
            packets = [data for data, _ in one.media.sent[starts[one] :] if data[1] & 0x7F == 0]
            heard[one] = b"".join(PCMU.decode(data[12:]) for data in packets)
        # The beginning is the jitter buffer's and what was on its way before.
        return {one: pcm[320 * 10 :] for one, pcm in heard.items()}


def hears(pcm: bytes, *wanted: float) -> None:
    """Those tones, and none of the others."""
    for hz in (CALLER_HZ, PERSON_HZ, THIRD_HZ, AI_HZ, SOUND_HZ):
        loud = loudness(pcm, hz)
        assert (loud > 2000) if hz in wanted else (loud < 300), (hz, loud)


def music(pcm: bytes) -> None:
    hears(pcm)
    assert np.abs(np.frombuffer(pcm, "<i2")).max() > 200


def silence(pcm: bytes) -> None:
    assert np.abs(np.frombuffer(pcm, "<i2").astype(int)).max() <= 8


def speaking(one: Office) -> Any:
    """The agent of the first call says a tone from now on."""
    agent, said = one.agents[0], tone(AI_HZ, 4000)
    at = iter(range(10**6))
    agent.speech = lambda: said[(n := 320 * (next(at) % 100)) : n + 320]
    return agent


@pytest.fixture
def line(office) -> Line:
    return Line(office())


async def test_a_person_waits_with_music_and_then_each_hears_the_other_and_not_itself(line: Line) -> None:
    caller, person = line.caller(), line.person()
    agent = speaking(line.office)
    heard = line.talk()
    music(heard[person])
    hears(heard[caller], AI_HZ)
    assert line.office.board.bridges.bridge(caller.live, person.live, UNSPECIFIED) == (person.id, caller.id)
    heard = line.talk()
    hears(heard[caller], PERSON_HZ)
    hears(heard[person], CALLER_HZ)
    assert agent.heeded
    (change,) = agent.changes
    assert (change.joined.other_call_ids, change.joined.ai) == ([person.id], LISTENS)
    for one in (caller, person):
        (told,) = one.told()
        assert (told.bridged.call_ids, told.bridged.ai) == ([person.id, caller.id], LISTENS)


async def test_an_ai_that_speaks_is_heard_by_both_and_one_that_is_away_hears_nothing(line: Line) -> None:
    caller, person = line.caller(), line.person()
    agent, bridges = speaking(line.office), line.office.board.bridges
    bridges.bridge(caller.live, person.live, SPEAKS)
    heard = line.talk()
    hears(heard[caller], PERSON_HZ, AI_HZ)
    hears(heard[person], CALLER_HZ, AI_HZ)
    bridges.bridge(caller.live, person.live, AWAY)
    hears(line.talk()[caller], PERSON_HZ)
    assert not agent.heeded
    assert [change.joined.ai for change in agent.changes] == [SPEAKS, AWAY]
    bridges.bridge(person.live, caller.live, UNSPECIFIED)  # nothing new
    assert len(agent.changes) == 2


async def test_the_ai_coaches_one_of_them(line: Line) -> None:
    caller, person = line.caller(), line.person()
    agent, bridges = speaking(line.office), line.office.board.bridges
    bridges.bridge(caller.live, person.live, LISTENS)
    bridges.coach(person.live, True)
    heard = line.talk()
    hears(heard[caller], PERSON_HZ)
    hears(heard[person], CALLER_HZ, AI_HZ)
    assert agent.changes[-1].joined.ai == call_pb2.BRIDGED_AI_COACHES
    bridges.coach(person.live, False)
    hears(line.talk()[person], CALLER_HZ)


async def test_a_sound_is_whispered_to_one_who_waits_and_to_one_who_talks(line: Line) -> None:
    caller, person = line.caller(), line.person()
    bridges = line.office.board.bridges
    bridges.whisper(person.live, WhisperedSound(tone(SOUND_HZ, 820), 8000))
    hears(line.talk()[person], SOUND_HZ)
    line.talk(100)
    await asyncio.sleep(0)
    (told,) = person.told()
    assert told.whisper_over.played
    music(line.talk()[person])
    bridges.bridge(caller.live, person.live, LISTENS)
    bridges.whisper(person.live, WhisperedSound(tone(SOUND_HZ, 5000), 8000))
    heard = line.talk()
    hears(heard[person], SOUND_HZ, CALLER_HZ)
    hears(heard[caller], PERSON_HZ)
    person.told()
    bridges.whisper(person.live, None)
    (told,) = person.told()
    assert not told.whisper_over.played
    hears(line.talk()[person], CALLER_HZ)


async def test_a_sound_goes_on_when_its_listener_is_bridged(line: Line) -> None:
    caller, person = line.caller(), line.person()
    bridges = line.office.board.bridges
    bridges.bridge(caller.live, person.live, LISTENS)
    late = line.person(THIRD_HZ)
    bridges.whisper(late.live, WhisperedSound(tone(SOUND_HZ, 5000), 8000))
    line.talk(200)
    bridges.bridge(caller.live, late.live, LISTENS)
    heard = line.talk()
    hears(heard[late], CALLER_HZ, PERSON_HZ, SOUND_HZ)
    hears(heard[caller], PERSON_HZ, THIRD_HZ)
    hears(heard[person], CALLER_HZ, THIRD_HZ)


async def test_on_hold_in_a_bridge_and_back(line: Line) -> None:
    caller, person = line.caller(), line.person()
    bridges = line.office.board.bridges
    bridges.bridge(caller.live, person.live, LISTENS)
    caller.told()
    bridges.hold(caller.live, True)
    heard = line.talk()
    music(heard[caller])
    silence(heard[person])
    assert not line.office.agents[0].heeded
    bridges.hold(caller.live, False)
    heard = line.talk()
    hears(heard[caller], PERSON_HZ)
    hears(heard[person], CALLER_HZ)
    assert [told.held.on_hold for told in caller.told()] == [True, False]


async def test_a_caller_alone_with_the_ai_on_hold(line: Line) -> None:
    caller = line.caller()
    agent, bridges = speaking(line.office), line.office.board.bridges
    bridges.hold(caller.live, True)
    music(line.talk()[caller])
    (change,) = agent.changes
    assert (list(change.joined.other_call_ids), change.joined.ai) == ([], AWAY)
    bridges.hold(caller.live, False)
    hears(line.talk()[caller], AI_HZ)
    assert agent.changes[-1].left.reason == "hold is over"
    assert (agent.leg, agent.heeded) == (None, True)
    bridges.hold(caller.live, True)
    person = line.person()
    bridges.bridge(caller.live, person.live, LISTENS)  # takes it off hold
    hears(line.talk()[caller], PERSON_HZ)


async def test_the_person_hangs_up_and_the_caller_is_with_the_ai_again(line: Line) -> None:
    caller, person = line.caller(), line.person()
    agent, bridges = speaking(line.office), line.office.board.bridges
    bridges.bridge(caller.live, person.live, LISTENS)
    line.talk(200)
    caller.told()
    line.office.carrier.bye(person.sip)
    hears(line.talk()[caller], AI_HZ)
    assert agent.changes[-1].left.reason == ALONE
    (told,) = caller.told()
    assert told.left_bridge == pb.LeftBridge(reason=ALONE, to_ai=True)
    line.office.carrier.bye(caller.sip)
    line.office.assert_clean()
    assert bridges._of == {}


async def test_the_caller_hangs_up_and_the_person_gets_a_bye(line: Line) -> None:
    caller, person = line.caller(), line.person()
    line.office.board.bridges.bridge(caller.live, person.live, LISTENS)
    line.office.carrier.bye(caller.sip)
    assert line.office.carrier.ended(person.sip) is not None
    assert person.told()[-1].ended == pb.CallEnded(by_caller=False, reason=ALONE)
    line.office.assert_clean()
    assert line.office.board.bridges._of == {}


async def test_of_three_two_talk_on_and_the_ai_leaves_with_its_call(line: Line) -> None:
    caller, person, third = line.caller(), line.person(), line.person(THIRD_HZ)
    bridges = line.office.board.bridges
    bridges.bridge(caller.live, person.live, SPEAKS)
    assert len(bridges.bridge(third.live, person.live, UNSPECIFIED)) == 3
    assert third.told()[-1].bridged.ai == SPEAKS
    line.office.carrier.bye(caller.sip)
    heard = line.talk()
    hears(heard[person], THIRD_HZ)
    hears(heard[third], PERSON_HZ)
    assert person.told()[-1].bridged == pb.Bridged(call_ids=[person.id, third.id], ai=AWAY)


async def test_parted_by_command_the_person_waits_for_the_next(line: Line) -> None:
    caller, person = line.caller(), line.person()
    agent, bridges = speaking(line.office), line.office.board.bridges
    bridges.bridge(caller.live, person.live, LISTENS)
    bridges.unbridge(person.live, "enough")
    heard = line.talk()
    hears(heard[caller], AI_HZ)
    music(heard[person])
    assert agent.changes[-1].left.reason == "enough"
    assert person.told()[-1].left_bridge == pb.LeftBridge(reason="enough", to_ai=False)
    other = line.caller(hz=THIRD_HZ)
    bridges.bridge(other.live, person.live, LISTENS)
    hears(line.talk()[person], THIRD_HZ)


async def test_who_is_put_on_hold_stays_there_when_the_person_is_parted(line: Line) -> None:
    caller, person = line.caller(), line.person()
    bridges = line.office.board.bridges
    bridges.bridge(caller.live, person.live, LISTENS)
    bridges.hold(caller.live, True)
    bridges.unbridge(person.live, "another one is called")
    heard = line.talk()
    music(heard[caller])
    music(heard[person])
    assert caller.told()[-1].left_bridge == pb.LeftBridge(reason="another one is called", to_ai=False)
    line.office.carrier.bye(person.sip)
    music(line.talk()[caller])
    bridges.unbridge(caller.live, "nobody is there")
    assert line.office.agents[0].leg is None


async def test_hold_by_the_other_side_is_music_for_who_is_left_alone(line: Line) -> None:
    caller, person = line.caller(), line.person()
    bridges = line.office.board.bridges
    bridges.bridge(caller.live, person.live, LISTENS)
    line.talk(200)
    media = person.live.negotiation
    board = line.office.board

    def reoffered(direction: str) -> None:
        body = sdp(person.port).decode().replace("o=- 1 1", "o=- 1 2") + f"a={direction}\r\n"
        board.settle(person.live, media.answer(body.encode()).negotiated)

    reoffered("sendonly")
    heard = line.talk()
    music(heard[caller])
    assert heard[person] == b""
    reoffered("sendrecv")
    heard = line.talk()
    hears(heard[caller], PERSON_HZ)
    hears(heard[person], CALLER_HZ)
    assert [one.held.on_hold for one in person.told() if one.held.by_peer] == [True, False]


async def test_a_leg_with_another_codec_and_rate(line: Line) -> None:
    caller = line.caller()
    body = sdp(4900).replace(b"RTP/AVP 0 8", b"RTP/AVP 9")
    sip = line.office.carrier.invite("front_desk", body)
    (wide,) = [one for one in line.office.board.calls.values() if one.sip.call_id == sip.call_id]
    assert wide.facts.audio.sample_rate_hz == 16000
    line.office.board.bridges.bridge(caller.live, wide, LISTENS)
    (port,) = [each for each in line.office.ports if each.port == wide.media.transport.port]
    line.talk()
    assert {(data[1] & 0x7F, len(data)) for data, _ in port.sent} == {(9, 172)}


async def test_keys_of_a_person_are_told(line: Line) -> None:
    person = line.person()
    person.live.pressed(Digit("1", 100))
    (told,) = person.told()
    assert told.key_pressed == pb.KeyPressed(digit="1", duration_ms=100)


async def test_what_cannot_be_done_is_refused_with_the_reason(line: Line) -> None:
    caller, person, echo = line.caller(), line.person(), line.caller("echo")
    other, late = line.caller(hz=THIRD_HZ), line.person(THIRD_HZ)
    bridges = line.office.board.bridges
    with pytest.raises(BridgeRefused, match="with itself"):
        bridges.bridge(caller.live, caller.live, LISTENS)
    with pytest.raises(BridgeRefused, match="echo number"):
        bridges.bridge(caller.live, echo.live, LISTENS)
    with pytest.raises(BridgeRefused, match="echo number"):
        bridges.hold(echo.live, True)
    with pytest.raises(BridgeRefused, match="in no bridge"):
        bridges.unbridge(caller.live, "")
    with pytest.raises(BridgeRefused, match="in no bridge"):
        bridges.unbridge(person.live, "")
    with pytest.raises(BridgeRefused, match="does not wait"):
        bridges.whisper(caller.live, WhisperedSound(b"\0\0", 8000))
    with pytest.raises(BridgeRefused, match="with an AI"):
        bridges.coach(person.live, True)
    with pytest.raises(BridgeRefused, match="has an AI that could speak"):
        bridges.bridge(person.live, late.live, SPEAKS)
    bridges.bridge(caller.live, person.live, LISTENS)
    bridges.bridge(other.live, late.live, LISTENS)
    with pytest.raises(BridgeRefused, match="two bridges"):
        bridges.bridge(caller.live, other.live, LISTENS)
    bridges.hold(person.live, True)
    with pytest.raises(BridgeRefused, match="on hold"):
        bridges.whisper(person.live, WhisperedSound(b"\0\0", 8000))


async def test_a_bridge_is_full_some_time(line: Line) -> None:
    phones = [line.caller() for _ in range(5)]
    bridges = line.office.board.bridges
    for one in phones[1:4]:
        bridges.bridge(phones[0].live, one.live, SPEAKS)
    with pytest.raises(BridgeRefused, match="4 calls at most"):
        bridges.bridge(phones[0].live, phones[4].live, SPEAKS)
    for one in phones[:3]:
        bridges.whisper(one.live, WhisperedSound(tone(SOUND_HZ, 1000), 8000))
    with pytest.raises(BridgeRefused, match="3 whispers"):
        bridges.whisper(phones[3].live, WhisperedSound(b"\0\0", 8000))
    line.talk(100)
    assert phones[4].live.party.leg is None


async def test_a_whisper_too_many_for_the_bridge_ends_and_that_is_told(line: Line) -> None:
    phones, bridges = [line.caller() for _ in range(3)], line.office.board.bridges
    for one in phones[1:]:
        bridges.bridge(phones[0].live, one.live, LISTENS)
    for one in phones:
        bridges.whisper(one.live, WhisperedSound(tone(SOUND_HZ, 1000), 8000))
    late = line.person()
    bridges.whisper(late.live, WhisperedSound(tone(SOUND_HZ, 1000), 8000))
    bridges.bridge(phones[0].live, late.live, LISTENS)
    assert [one.WhichOneof("event") for one in late.told()] == ["whisper_over", "bridged"]


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_is_asked_in_whatever_order_nothing_breaks_and_nothing_is_left(line: Line, seed: int) -> None:
    choose = random.Random(seed)
    bridges, carrier = line.office.board.bridges, line.office.carrier
    for step in range(60):
        if len(line.phones) < 2 or (step % 12 == 0 and len(line.phones) < 8):
            choose.choice([line.caller, line.person])()
        one, other = (choose.choice(line.phones) for _ in range(2))
        actions: list[Callable[[], Any]] = [
            lambda one=one, other=other: bridges.bridge(one.live, other.live, choose.choice([0, 1, 2, 3])),
            lambda one=one: bridges.unbridge(one.live, "enough"),
            lambda one=one: bridges.hold(one.live, choose.random() < 0.5),
            lambda one=one: bridges.whisper(one.live, WhisperedSound(tone(SOUND_HZ, choose.choice([20, 300])), 8000)),
            lambda one=one: bridges.whisper(one.live, None),
            lambda one=one: bridges.coach(one.live, choose.random() < 0.5),
            lambda one=one: carrier.bye(one.sip),
        ]
        with suppress(BridgeRefused):
            choose.choices(actions, [8, 2, 3, 2, 1, 2, 1])[0]()
        line.phones = [phone for phone in line.phones if phone.media.open]
        line.talk(40)
        await asyncio.sleep(0)
        for phone in line.phones:
            conference = bridges.conference(phone.live)
            agent = phone.live.agent
            if conference is None:
                assert agent is not None
                assert (agent.leg, agent.heeded) == (None, True)
                continue
            member = conference.members[phone.id]
            assert conference.joined or agent is None or member.on_hold
            if agent is not None:
                assert agent.heeded == (not member.on_hold and conference.role_of(phone.live) != AWAY)
        assert set(bridges._of) <= {phone.id for phone in line.phones}
    for phone in line.phones:
        if phone.media.open:
            carrier.bye(phone.sip)
    line.office.assert_clean()
    assert bridges._of == {}
