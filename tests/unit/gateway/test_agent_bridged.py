"""An agent's call while it is in a bridge: who hears what, and that the call outlives its brain."""

import asyncio
from unittest.mock import AsyncMock, Mock

import pytest

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.gateway.agent_call import AgentCall
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec, Direction
from tandem.v1 import brain_pb2 as pb
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.call_pb2 import BRIDGED_AI_LISTENS, BRIDGED_AI_SPEAKS, CallFacts

PCMU = Codec(0, "PCMU", 8000)
JOINED = pb.BridgeChanged(joined=pb.BridgeJoined(other_call_ids=["2"], ai=BRIDGED_AI_LISTENS))
SPEAKING = pb.BridgeChanged(joined=pb.BridgeJoined(other_call_ids=["2"], ai=BRIDGED_AI_SPEAKS))
LEFT = pb.BridgeChanged(left=pb.BridgeLeft(reason="enough"))


class Leg:
    def __init__(self) -> None:
        self.said: list[AudioFrame] = []

    def heard(self, frame: AudioFrame) -> None:
        self.said.append(frame)

    def frame(self) -> bytes:
        return b"\1\0" * 160


@pytest.fixture
def agent() -> AgentCall:
    facts = CallFacts(call_id="1", audio=AudioFormat(sample_rate_hz=8000))
    call = AgentCall(facts, "", lambda: 0, Mock(), Mock(), Mock(), Mock())
    call.dialogue = Mock(run=AsyncMock(return_value=True))
    call.bus = Mock(open=AsyncMock(), close=AsyncMock())
    call.negotiated(Negotiated(PCMU, None, (PCMU,), ("192.0.2.1", 4000), Direction.SENDRECV))
    return call


def say(agent: AgentCall, number: int) -> AudioFrame:
    """A packet of the caller's; what went to the bus for it."""
    agent.heard(RtpPacket(0, number, 160 * number, 9, b"\x10" * 160), 20_000 * (number + 1))
    frame: AudioFrame = agent.bus.publish.call_args.args[0]  # type: ignore[attr-defined]
    return frame


def utterance(agent: AgentCall) -> None:
    agent._agent_frame(AudioFrame(0, 0, 8000, b"\2\0" * 160, 1, END_OF_UTTERANCE))
    agent._command(pb.CallCommand(play=pb.Play(utterance_id=1)))


def reported(agent: AgentCall) -> list[str | None]:
    return [call.args[0].WhichOneof("event") for call in agent.dialogue.report.call_args_list]  # type: ignore[attr-defined]


def test_the_leg_hears_the_caller_and_so_does_the_agent_unless_it_is_away(agent: AgentCall) -> None:
    leg = Leg()
    agent.join(leg)
    assert any(say(agent, 0).samples)
    agent.join(leg, heeded=False)
    assert say(agent, 1) == leg.said[1]._replace(samples=bytes(320))
    agent.join(None)
    assert any(say(agent, 2).samples)
    assert [(frame.sequence, any(frame.samples)) for frame in leg.said] == [(0, True), (1, True)]


def test_the_caller_hears_the_leg_and_the_agent_speaks_into_the_bridge(agent: AgentCall) -> None:
    agent.join(Leg())
    utterance(agent)
    assert agent.speak(0) == b"\1\0" * 160
    assert agent.next_speech(0) == b"\2\0" * 160
    agent.sent()
    assert "playout_finished" in reported(agent)
    agent.join(None)
    assert agent.speak(20_000) is None


def test_what_the_agent_said_is_told_while_the_caller_is_on_hold_and_sent_nothing(agent: AgentCall) -> None:
    agent.join(Leg())
    utterance(agent)
    agent.next_speech(0)  # for another leg
    assert reported(agent) == ["playout_started", "playout_finished"]


def test_a_goodbye_under_way_ends_no_bridge_but_the_call_behind_it(agent: AgentCall) -> None:
    utterance(agent)
    agent._command(pb.CallCommand(hang_up=pb.HangUpCall(reason="goodbye", after_playout=True)))
    agent.join(Leg())
    agent._command(pb.CallCommand(stop=pb.Stop(utterance_id=1)))
    agent._hang_up.assert_not_called()  # type: ignore[attr-defined]
    agent.join(None)
    agent._hang_up.assert_called_once_with("goodbye")  # type: ignore[attr-defined]


@pytest.mark.parametrize("after_playout", [True, False])
def test_a_goodbye_that_comes_when_others_talk_waits_until_the_caller_is_alone(
    agent: AgentCall, after_playout: bool
) -> None:
    agent.join(Leg())
    agent.bridge_changed(JOINED)
    agent._command(pb.CallCommand(hang_up=pb.HangUpCall(reason="goodbye", after_playout=after_playout)))
    agent._hang_up.assert_not_called()  # type: ignore[attr-defined]
    agent.join(Leg())  # a third one came
    agent.bridge_changed(LEFT)
    agent.join(None)
    agent._hang_up.assert_called_once_with("goodbye")  # type: ignore[attr-defined]


def test_a_goodbye_to_nobody_is_forgotten_with_the_brain_that_meant_it(agent: AgentCall) -> None:
    agent.join(Leg())
    agent.bridge_changed(JOINED)
    agent._command(pb.CallCommand(hang_up=pb.HangUpCall(reason="goodbye")))
    agent._brain_lost()
    agent.join(None)
    agent._hang_up.assert_not_called()  # type: ignore[attr-defined]


async def test_an_agent_that_speaks_in_a_bridge_may_end_its_call(agent: AgentCall) -> None:
    agent.join(Leg())
    agent.bridge_changed(SPEAKING)
    utterance(agent)
    agent._command(pb.CallCommand(hang_up=pb.HangUpCall(reason="goodbye", after_playout=True)))
    agent.join(Leg())  # whatever changed there
    agent.next_speech(0)
    await asyncio.sleep(0)
    agent._hang_up.assert_called_once_with("goodbye")  # type: ignore[attr-defined]


@pytest.mark.parametrize("well", [True, False])
async def test_without_a_brain_the_call_lives_as_long_as_the_bridge(agent: AgentCall, well: bool) -> None:
    agent.dialogue.run.return_value = well  # type: ignore[attr-defined]
    agent.join(Leg())
    await agent.run()
    agent.held(True)
    agent.held(False)
    agent._hang_up.assert_not_called()  # type: ignore[attr-defined]
    agent.join(None)
    if well:
        agent._hang_up.assert_called_once_with("conversation over")  # type: ignore[attr-defined]
    else:
        assert agent.speak(0) is not None  # the apology
    await asyncio.sleep(0)


def test_another_brain_is_told_of_the_bridge(agent: AgentCall) -> None:
    agent.bridge_changed(JOINED)
    agent._brain_lost()
    assert reported(agent) == ["bridge_changed", "bridge_changed"]
    agent.bridge_changed(LEFT)
    agent._brain_lost()
    assert reported(agent) == ["bridge_changed"] * 3
