"""An agent's call goes on with another telephone: both are heard, and the dialogue knows nothing of it."""

import re
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


async def both_are_heard(talk, phone, bus, speak, sounds) -> None:
    frames: list[AudioFrame] = []

    async def keep(message) -> None:
        frames.append(AudioFrame.unpack(message.data))

    await bus.subscribe(caller_subject(talk.facts.call_id), cb=keep)
    await bus.flush()
    before = len(phone.heard)
    await speak(talk.facts.call_id, 1, sounds.tone(440, 800))
    talk.command(play=brain_pb2.Play(utterance_id=1))
    await phone.say(sounds.tone(300, 500))
    await talk.wait_for("playout_finished")
    assert sounds.pitch(phone.pcm(before)) == pytest.approx(440, abs=5)
    assert sounds.pitch(b"".join(frame.samples for frame in frames)) == pytest.approx(300, abs=5)


async def test_replaces(gateway, brain, bus, speak, sounds) -> None:
    running = await gateway()
    first, second = await running.telephone(), await running.telephone()
    assert await first.invite("front_desk") == 200
    talk = await brain.conversation()
    tag = re.search(r"tag=(\S+)", first.to)
    assert tag is not None
    replaces = f"Replaces: {first.call_id};to-tag={tag[1]};from-tag={first.tag}\r\n"
    second.request("INVITE", "front_desk", second.offer(), replaces)
    response = await second.responses.get()
    assert response.startswith("SIP/2.0 200")
    found = re.search(r"^To:\s*(.*?)\s*$", response, re.M)
    port = re.search(r"^m=audio (\d+)", response, re.M)
    assert found is not None
    assert port is not None
    second.to, second.rtp_to = found[1], ("127.0.0.1", int(port[1]))
    second.request("ACK", "front_desk", cseq=second.cseq)
    assert "Call completed elsewhere" in await first.incoming("BYE")
    await both_are_heard(talk, second, bus, speak, sounds)
    assert not talk.of("hung_up")
    async with connect(running.settings.control_address) as channel:
        stub = CallControlStub(channel)
        (live,) = (await stub.List(pb.ListRequest())).calls
        assert live.facts.sip_call_id == second.call_id
        (trunk,) = (await stub.ListTrunks(pb.ListTrunksRequest())).trunks
        assert trunk.calls == 1
        messages = (await stub.Messages(pb.MessagesRequest(call_id=talk.facts.call_id))).messages
        said = [one.data.split(b"\r\n")[0] for one in messages]
        assert sum(line.startswith(b"INVITE") for line in said) == 2
    assert await second.bye() == 200
    assert (await talk.wait_for("hung_up")).hung_up.by_caller


@pytest.mark.parametrize("blind", [False, True])
async def test_refer_is_followed(gateway, brain, bus, speak, sounds, callee, blind) -> None:
    """`blind`: who refers hangs up at once."""
    running = await gateway(trunks=[callee.trunk(refer="follow")])
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    talk = await brain.conversation()
    phone.request("REFER", "front_desk", headers="Refer-To: <sip:+4930222@127.0.0.1>\r\n")
    assert (await phone.responses.get()).startswith("SIP/2.0 202")
    invite = await callee.incoming("INVITE")
    assert invite.startswith("INVITE sip:+4930222@")
    callee.respond("180 Ringing")
    if blind:
        assert await phone.bye() == 200
        assert (await talk.wait_for("hold_changed")).hold_changed.on_hold
    await callee.accept()
    if blind:
        assert not (await talk.wait_for("hold_changed", 2)).hold_changed.on_hold
    else:
        await phone.incoming("BYE")
    await both_are_heard(talk, callee, bus, speak, sounds)
    assert not talk.of("hung_up")
    assert await callee.bye() == 200
    assert (await talk.wait_for("hung_up")).hung_up.by_caller
