"""An agent's call as the voice of its RTP: which formats are heard and sent (RFC 3264, RFC 4733)."""

import struct
from unittest.mock import Mock

import pytest

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.gateway.agent_call import AgentCall
from services.gateway.apology import apology
from services.gateway.dtmf import EventPacket
from services.gateway.recordings import CONSENT_ID
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import COMFORT_NOISE, Codec, Direction
from tandem.v1 import brain_pb2 as pb
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.call_pb2 import CallFacts

PCMU, PCMA = Codec(0, "PCMU", 8000), Codec(8, "PCMA", 8000)
KEYS_8000, KEYS_48000 = Codec(101, "TELEPHONE-EVENT", 8000), Codec(110, "TELEPHONE-EVENT", 48000)


@pytest.fixture
def agent() -> AgentCall:
    facts = CallFacts(call_id="1", audio=AudioFormat(sample_rate_hz=8000))
    call = AgentCall(facts, "", lambda: 0, Mock(), Mock(), Mock(), Mock())
    call.dialogue = Mock()
    call.bus = Mock()
    return call


def negotiate(agent: AgentCall, event: Codec | None, *formats: Codec) -> None:
    agent.negotiated(Negotiated(formats[0], event, formats, ("192.0.2.1", 4000), Direction.SENDRECV))


def reported(agent: AgentCall) -> list[tuple[str, int]]:
    events: list[pb.CallEvent] = [call.args[0] for call in agent.dialogue.report.call_args_list]  # type: ignore[attr-defined]
    return [(event.dtmf.digit, event.dtmf.duration_ms) for event in events]


def test_keys_on_every_event_payload_type_and_its_clock(agent: AgentCall) -> None:
    negotiate(agent, KEYS_8000, PCMU, KEYS_8000, KEYS_48000)
    agent.heard(RtpPacket(101, 1, 7, 9, struct.pack("!BBH", 1, 0x80, 800)), 0)
    agent.heard(RtpPacket(110, 2, 1607, 9, struct.pack("!BBH", 2, 0x80, 4800)), 20_000)
    agent.heard(RtpPacket(96, 3, 3207, 9, struct.pack("!BBH", 3, 0x80, 800)), 40_000)
    assert reported(agent) == [("1", 100), ("2", 100)]
    assert agent.stream.unknown_packets == 1


def test_every_codec_that_may_come_is_decoded_and_comfort_noise_is_not(agent: AgentCall) -> None:
    negotiate(agent, None, PCMU, PCMA, COMFORT_NOISE)
    for sequence, (payload_type, silence) in enumerate([(0, 0xFF), (8, 0xD5), (13, 0x31)]):
        packet = RtpPacket(payload_type, sequence, 160 * sequence, 9, bytes([silence]) * 160)
        agent.heard(packet, 20_000 * (sequence + 1))
    frames = [call.args[0] for call in agent.bus.publish.call_args_list]  # type: ignore[attr-defined]
    assert len(frames) >= 2
    assert all(abs(sample) <= 8 for frame in frames for (sample,) in struct.iter_unpack("<h", frame.samples))


@pytest.mark.parametrize(("event", "duration"), [(KEYS_8000, 160), (KEYS_48000, 960)])
def test_keys_are_sent_on_the_clock_of_their_payload_type(agent: AgentCall, event: Codec, duration: int) -> None:
    negotiate(agent, event, PCMU, event)
    agent._command(pb.CallCommand(send_dtmf=pb.SendDtmf(digits="5")))
    spoken = agent.speak(0)
    assert isinstance(spoken, EventPacket)
    assert struct.unpack("!BBH", spoken.payload)[2] == duration


def test_a_caller_is_told_of_the_recording_whatever_becomes_of_the_brain() -> None:
    frames = [
        AudioFrame(at, 0, 8000, bytes([at + 1]) * 320, CONSENT_ID, END_OF_UTTERANCE if at == 2 else 0)
        for at in range(3)
    ]
    facts = CallFacts(call_id="1", audio=AudioFormat(sample_rate_hz=8000))
    agent = AgentCall(facts, "", lambda: 0, Mock(), Mock(), Mock(), Mock(), first=frames)
    agent.dialogue, agent.bus = Mock(), Mock()
    agent._agent_frame(AudioFrame(0, 0, 8000, b"\x77" * 320, 1, 0))
    agent._command(pb.CallCommand(play=pb.Play(utterance_id=1)))
    heard = [agent.speak(0)]
    agent._brain_lost()
    heard.append(agent.speak(20_000))
    agent._apologise()
    heard += [agent.speak(40_000), agent.speak(60_000)]
    assert heard == [*(frame.samples for frame in frames), apology(8000)[0].samples]


def test_keys_do_not_wait_for_an_event_that_may_come_back(agent: AgentCall) -> None:
    negotiate(agent, KEYS_8000, PCMU, KEYS_8000)
    agent._command(pb.CallCommand(send_dtmf=pb.SendDtmf(digits="12")))
    assert isinstance(agent.speak(0), EventPacket)
    negotiate(agent, None, PCMU)
    negotiate(agent, KEYS_8000, PCMU, KEYS_8000)
    assert not isinstance(agent.speak(20_000), EventPacket)
    agent._command(pb.CallCommand(send_dtmf=pb.SendDtmf(digits="3")))
    first = agent.speak(40_000)
    assert isinstance(first, EventPacket)
    assert (first.payload[0], first.continues) == (3, False)


def test_the_caller_s_noise_is_for_people(agent: AgentCall) -> None:
    negotiate(agent, None, PCMU, COMFORT_NOISE)
    leg = Mock()
    agent.join(leg)
    agent.heard(RtpPacket(0, 1, 160, 9, bytes(160)), 20_000)
    agent.heard(RtpPacket(13, 2, 320, 9, b"\x28"), 40_000)
    agent.slot(60_000)
    assert any(leg.heard.call_args.args[0].samples)
    assert not any(agent.bus.publish.call_args.args[0].samples)  # type: ignore[attr-defined]
