"""A call between a telephone and a brain, over real SIP, RTP, NATS and gRPC."""

import asyncio
import struct
from itertools import pairwise

import pytest

from services.common.bus import caller_subject, replay_subject
from services.common.media.frame import AudioFrame, split_frames
from tandem.v1 import brain_pb2 as pb


async def answered(gateway, brain, **settings):
    """A gateway, a telephone in a call, and the brain's side of it."""
    running = await gateway(**settings)
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    return running, phone, await brain.conversation()


async def settle(bus) -> None:
    """Until the server knows the subscriptions: nats-py's first PING may overtake them."""
    await bus.flush()
    await bus.flush()


async def test_the_agent_is_heard(gateway, brain, speak, sounds) -> None:
    running, phone, talk = await answered(gateway, brain)
    facts = talk.facts
    assert (facts.caller_number, facts.caller_name, facts.called_number) == ("+4930555", "Ada", "front_desk")
    assert (facts.agent, facts.audio.sample_rate_hz, facts.sip_call_id) == ("front_desk", 8000, phone.call_id)
    assert facts.control_address == running.settings.control_address
    await asyncio.sleep(0.1)
    assert len(phone.heard) >= 3, "silence flows from the answer on"
    assert {data[12:] for _, data in phone.heard} == {b"\xff" * 160}
    await speak(facts.call_id, 1, sounds.tone(440, 1000))
    talk.command(play=pb.Play(utterance_id=1))
    finished = await talk.wait_for("playout_finished")
    started = talk.of("playout_started")[0]
    assert finished.playout_finished == pb.PlayoutFinished(
        utterance_id=1, samples_played=8000, end=pb.PLAYOUT_END_COMPLETED
    )
    assert 970_000 <= finished.call_time_us - started.call_time_us <= 1_050_000
    assert started.playout_started.wait_us == started.call_time_us - started.playout_started.ready_call_time_us
    assert started.playout_started.wait_us < 60_000
    assert [one.playout_progress.samples_played for one in talk.of("playout_progress")] == [3200, 6400]
    await asyncio.sleep(0.1)
    said = phone.pcm().strip(b"\0")
    assert sounds.pitch(said) == pytest.approx(440, abs=3)
    assert len(said) / 2 == pytest.approx(8000, abs=20)
    packets = [struct.unpack("!HI", data[2:8]) for _, data in phone.heard]
    assert {b[0] - a[0] & 0xFFFF for a, b in pairwise(packets)} == {1}


async def test_the_caller_is_heard_and_replayed(gateway, brain, bus, sounds) -> None:
    _, phone, talk = await answered(gateway, brain)
    live: list[AudioFrame] = []

    async def keep(message) -> None:
        live.append(AudioFrame.unpack(message.data))

    await bus.subscribe(caller_subject(talk.facts.call_id), cb=keep)
    await settle(bus)
    await phone.say(sounds.tone(300, 600))
    await asyncio.sleep(0.1)
    said = [frame for frame in live if not frame.flags]
    assert len(said) == 30
    assert sounds.pitch(b"".join(frame.samples for frame in said)) == pytest.approx(300, abs=3)
    assert [frame.sequence for frame in live] == list(range(live[0].sequence, live[-1].sequence + 1))
    times = [frame.call_time_us for frame in live]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(580_000, abs=60_000)

    inbox = bus.new_inbox()
    answer = await bus.subscribe(inbox)
    await bus.publish(replay_subject(talk.facts.call_id), struct.pack("<I", said[0].sequence), reply=inbox)
    replayed: list[AudioFrame] = []
    while message := (await answer.next_msg(timeout=2)).data:
        replayed += split_frames(message, 8000)
    assert replayed[:30] == said


async def test_keys_both_ways(gateway, brain, sounds) -> None:
    _, phone, talk = await answered(gateway, brain)
    await phone.say(bytes(320 * 5))
    for duration, end in ((160, 0), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)):
        phone.send_rtp(struct.pack("!BBH", 11, end | 10, duration), 101, timestamp=77_000)
    event = await talk.wait_for("dtmf")
    assert event.dtmf == pb.Dtmf(digit="#", duration_ms=60)
    await asyncio.sleep(0.3)
    assert len(talk.of("dtmf")) == 1

    talk.command(send_dtmf=pb.SendDtmf(digits="19"))
    await asyncio.sleep(0.7)
    keys = [
        (data[12], data[13] >> 7, struct.unpack("!I", data[4:8])[0]) for _, data in phone.heard if data[1] & 0x7F == 101
    ]
    assert [digit for digit, _, _ in keys] == [1] * 8 + [9] * 8
    assert sum(end for _, end, _ in keys) == 6
    assert len({timestamp for _, _, timestamp in keys}) == 2


async def test_barge_in_pause_resume_stop(gateway, brain, speak, sounds) -> None:
    _, phone, talk = await answered(gateway, brain)
    await speak(talk.facts.call_id, 1, sounds.tone(440, 2000))
    talk.command(play=pb.Play(utterance_id=1))
    await talk.wait_for("playout_progress")
    talk.command(pause=pb.Pause(utterance_id=1))
    async with asyncio.timeout(2):
        while not any(one.playout_progress.paused for one in talk.of("playout_progress")):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    silent_from = len(phone.heard)
    await asyncio.sleep(0.2)
    assert sounds.pitch(phone.pcm(silent_from)) == 0
    talk.command(resume=pb.Resume(utterance_id=1, from_sample=0))
    await asyncio.sleep(0.3)
    assert sounds.pitch(phone.pcm(silent_from)) == pytest.approx(440, abs=10)
    talk.command(stop=pb.Stop(utterance_id=1))
    finished = (await talk.wait_for("playout_finished")).playout_finished
    assert finished.end == pb.PLAYOUT_END_STOPPED
    assert 1600 <= finished.samples_played < 16000


async def test_the_caller_hangs_up(gateway, brain) -> None:
    _, phone, talk = await answered(gateway, brain)
    assert await phone.bye() == 200
    event = await talk.wait_for("hung_up")
    assert event.hung_up == pb.HungUp(by_caller=True, reason="BYE")
    await asyncio.wait_for(talk.ended.wait(), 2)


async def test_the_agent_hangs_up_when_it_has_finished(gateway, brain, speak, sounds) -> None:
    _, phone, talk = await answered(gateway, brain)
    await speak(talk.facts.call_id, 1, sounds.tone(600, 500))
    talk.command(play=pb.Play(utterance_id=1))
    talk.command(hang_up=pb.HangUpCall(reason="said goodbye", after_playout=True))
    await phone.incoming("BYE")
    assert len(phone.pcm().strip(b"\0")) / 2 == pytest.approx(4000, abs=20)
    event = await talk.wait_for("hung_up")
    assert event.hung_up == pb.HungUp(by_caller=False, reason="said goodbye")


async def test_hold(gateway, brain, speak, sounds) -> None:
    _, phone, talk = await answered(gateway, brain)
    await speak(talk.facts.call_id, 1, sounds.tone(440, 1000))
    assert await phone.invite("front_desk", phone.offer(direction="sendonly")) == 200
    assert "a=recvonly" in phone.last_response
    assert (await talk.wait_for("hold_changed")).hold_changed.on_hold
    talk.command(play=pb.Play(utterance_id=1))
    await asyncio.sleep(0.1)
    heard = len(phone.heard)
    await asyncio.sleep(0.2)
    assert len(phone.heard) == heard, "nothing is sent to a caller on hold"
    assert await phone.invite("front_desk") == 200
    assert not (await talk.wait_for("hold_changed", 2)).hold_changed.on_hold
    finished = (await talk.wait_for("playout_finished")).playout_finished
    assert finished.samples_played == 8000
    await asyncio.sleep(0.05)
    assert len(phone.pcm(heard).strip(b"\0")) / 2 == pytest.approx(8000, abs=20)


async def test_delayed_offer(gateway, brain, speak, sounds) -> None:
    running = await gateway()
    phone = await running.telephone()
    phone.request("INVITE", "front_desk")
    response = await asyncio.wait_for(phone.responses.get(), 5)
    assert "m=audio" in response
    phone.to = next(line[3:].strip() for line in response.splitlines() if line.startswith("To:"))
    phone.request("ACK", "front_desk", phone.offer(), cseq=phone.cseq)
    talk = await brain.conversation()
    await speak(talk.facts.call_id, 1, sounds.tone(440, 300))
    talk.command(play=pb.Play(utterance_id=1))
    await talk.wait_for("playout_finished")
    await asyncio.sleep(0.05)
    assert sounds.pitch(phone.pcm().strip(b"\0")) == pytest.approx(440, abs=5)


async def test_a_stranger_on_the_port_is_not_heard(gateway, brain, bus, sounds) -> None:
    running, phone, talk = await answered(gateway, brain)
    await phone.say(bytes(320 * 3))
    stranger = await running.telephone()
    stranger.rtp_to = phone.rtp_to
    live: list[AudioFrame] = []

    async def keep(message) -> None:
        live.append(AudioFrame.unpack(message.data))

    await bus.subscribe(caller_subject(talk.facts.call_id), cb=keep)
    await settle(bus)
    phone.rtp.sendto(b"not RTP at all", phone.rtp_to)
    await asyncio.gather(stranger.say(sounds.tone(900, 300)), phone.say(sounds.tone(300, 300)))
    await asyncio.sleep(0.05)
    heard = b"".join(frame.samples for frame in live if not frame.flags)
    assert sounds.pitch(heard) == pytest.approx(300, abs=5)
    assert not stranger.heard


async def test_a_caller_who_is_gone(gateway, brain) -> None:
    _, phone, talk = await answered(gateway, brain, media_timeout_s=1)
    await phone.incoming("BYE", 3)
    assert (await talk.wait_for("hung_up")).hung_up.reason == "media timeout"


async def test_the_longest_call(gateway, brain) -> None:
    _, phone, talk = await answered(gateway, brain, max_call_s=1)
    await phone.incoming("BYE", 3)
    assert (await talk.wait_for("hung_up")).hung_up.reason == "call too long"


async def test_heartbeats_carry_call_time(gateway, brain) -> None:
    _, _, talk = await answered(gateway, brain)
    await talk.wait_for("heartbeat", 3)
    times = [one.call_time_us for one in talk.of("heartbeat")]
    assert times == pytest.approx([500_000, 1_000_000, 1_500_000], abs=150_000)
