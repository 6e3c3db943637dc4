"""A call that we place, to a telephone, with an agent behind it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.bus import caller_subject
from services.common.media.frame import AudioFrame
from services.common.rpc import connect
from tandem.v1 import brain_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlStub
from tests.integration.gateway.callee import Callee


@pytest.fixture
async def callee() -> AsyncIterator[Callee]:
    one = Callee()
    await one.open()
    yield one
    one.close()


REQUEST = pb.OriginateRequest(trunk="pbx", to="+4930111", agent="front_desk")


async def test_early_media_is_not_spoken_over_and_then_both_are_heard(
    gateway, brain, bus, speak, sounds, callee
) -> None:
    running = await gateway(trunks=[callee.trunk()])
    async with connect(running.settings.control_address) as channel:
        progress = CallControlStub(channel).Originate(REQUEST)
        placed = (await progress.read()).placed
        await callee.incoming("INVITE")
        callee.respond("183 Session Progress", described=True)
        assert (await progress.read()).WhichOneof("progress") == "early_media"
        await callee.say(sounds.tone(425, 300))
        assert len(callee.heard) >= 5
        assert {data[12:] for _, data in callee.heard} == {b"\xff" * 160}
        assert brain.conversations.empty()  # nobody is there to talk to
        await callee.accept()
        facts = (await progress.read()).answered
        assert (facts.call_id, facts.sip_call_id) == (placed.call_id, placed.sip_call_id)
    talk = await brain.conversation()
    assert (talk.facts.agent, talk.facts.caller_number, talk.facts.called_number) == (
        "front_desk",
        "+4930999",
        "+4930111",
    )
    assert talk.events[0].call_time_us < 1_000_000

    frames: list[AudioFrame] = []

    async def keep(message) -> None:
        frames.append(AudioFrame.unpack(message.data))

    await bus.subscribe(caller_subject(facts.call_id), cb=keep)
    await bus.flush()
    await speak(facts.call_id, 1, sounds.tone(440, 1000))
    talk.command(play=brain_pb2.Play(utterance_id=1))
    await callee.say(sounds.tone(300, 500))
    await callee.heard_pitch(sounds, 440)
    said = b"".join(frame.samples for frame in frames)
    assert sounds.pitch(said) == pytest.approx(300, abs=5)
    assert await callee.bye() == 200
    event = await talk.wait_for("hung_up")
    assert event.hung_up == brain_pb2.HungUp(by_caller=True, reason="BYE")


async def test_a_stream_that_is_cancelled_after_the_answer_leaves_the_call(gateway, brain, callee) -> None:
    running = await gateway(trunks=[callee.trunk()])
    async with connect(running.settings.control_address) as channel:
        progress = CallControlStub(channel).Originate(REQUEST)
        await callee.incoming("INVITE")
        await callee.accept()
        while (await progress.read()).WhichOneof("progress") != "answered":
            pass
        progress.cancel()
        await asyncio.sleep(0.2)
        (live,) = (await CallControlStub(channel).List(pb.ListRequest())).calls
        assert live.facts.called_number == "+4930111"
    assert await callee.bye() == 200


async def test_a_stream_that_is_cancelled_before_gives_the_call_up(gateway, callee) -> None:
    running = await gateway(trunks=[callee.trunk()])
    async with connect(running.settings.control_address) as channel:
        progress = CallControlStub(channel).Originate(REQUEST)
        await callee.incoming("INVITE")
        callee.respond("180 Ringing")
        while (await progress.read()).WhichOneof("progress") != "ringing":
            pass
        progress.cancel()
        await callee.incoming("CANCEL")
        callee.respond("487 Request Terminated")
        await callee.incoming("ACK")
        (trunk,) = (await CallControlStub(channel).ListTrunks(pb.ListTrunksRequest())).trunks
        assert trunk.calls == 0


async def test_the_messages_of_a_call_that_nobody_answered(gateway, callee) -> None:
    running = await gateway(trunks=[callee.trunk()])
    async with connect(running.settings.control_address) as channel:
        stub = CallControlStub(channel)
        progress = stub.Originate(REQUEST)
        placed = (await progress.read()).placed
        await callee.incoming("INVITE")
        callee.respond("486 Busy Here")
        assert (await progress.read()).failed.failure == pb.ORIGINATE_FAILURE_BUSY
        for wanted in (placed.call_id, placed.sip_call_id, "last", ""):
            messages = (await stub.Messages(pb.MessagesRequest(call_id=wanted))).messages
            assert [one.data.split()[0] for one in messages][:2] == [b"INVITE", b"SIP/2.0"]
