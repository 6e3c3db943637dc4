"""A caller and a person whom we called, joined by CallControl: what each of the two telephones hears."""

import asyncio
import contextlib
import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from services.common.bus import caller_subject
from services.common.media.frame import AudioFrame
from services.common.rpc import connect
from services.common.service import StartRefused
from services.gateway.codecs.g711 import PCMU
from tandem.v1 import brain_pb2, call_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlStub
from tests.integration.gateway.callee import Callee

CALLER_HZ, PERSON_HZ, AI_HZ, SOUND_HZ = 400, 700, 1500, 2100
PLACE = pb.OriginateRequest(trunk="pbx", to="+4930111", hold_for_bridge=True)


def loudness(pcm: bytes, hz: float) -> float:
    """The amplitude at that frequency."""
    heard = np.frombuffer(pcm, "<i2").astype(float)
    turn = np.exp(-2j * np.pi * hz * np.arange(len(heard)) / 8000)
    return float(4 * np.abs((heard * np.hanning(len(heard))) @ turn) / max(len(heard), 1))


def hears(pcm: bytes, *wanted: int) -> None:
    for hz in (CALLER_HZ, PERSON_HZ, AI_HZ, SOUND_HZ):
        loud = loudness(pcm, hz)
        assert (loud > 1500) if hz in wanted else (loud < 400), (hz, loud)


class Office:
    """A caller with the front desk's agent, and a person who waits."""

    def __init__(self, stub: Any, caller: Any, talk: Any, person: Callee, sounds: Any) -> None:
        self.stub, self.caller, self.talk, self.person, self.sounds = stub, caller, talk, person, sounds
        self.person_id = ""

    @property
    def caller_id(self) -> str:
        call_id: str = self.talk.facts.call_id
        return call_id

    async def call_person(self) -> None:
        progress = self.stub.Originate(PLACE)
        await self.person.incoming("INVITE")
        await self.person.accept()
        while not (step := await progress.read()).HasField("answered"):
            assert not step.HasField("failed"), step
        self.person_id = step.answered.call_id

    async def bridge(self, ai: Any = call_pb2.BRIDGED_AI_LISTENS) -> Any:
        request = pb.BridgeRequest(call_id=self.caller_id, other_call_id=self.person_id, ai=ai)
        return await self.stub.Bridge(request)

    async def both_talk(self, ms: int = 1000) -> tuple[bytes, bytes]:
        """What the caller and the person heard meanwhile, the first 300 ms left out."""
        starts = len(self.caller.heard), len(self.person.heard)
        await asyncio.gather(
            self.caller.say(self.sounds.tone(CALLER_HZ, ms)), self.person.say(self.sounds.tone(PERSON_HZ, ms))
        )
        return self.caller.pcm(starts[0] + 15), self.person.pcm(starts[1] + 15)


@pytest.fixture
async def office(gateway: Any, brain: Any, sounds: Any) -> AsyncIterator[Office]:
    person = Callee()
    await person.open()
    running = await gateway(trunks=[person.trunk()])
    caller = await running.telephone()
    async with connect(running.settings.control_address) as channel:
        assert await caller.invite("front_desk") == 200
        one = Office(CallControlStub(channel), caller, await brain.conversation(), person, sounds)
        await one.call_person()
        yield one
    person.close()


async def watch(office: Office, call_id: str) -> tuple[Any, list[pb.WatchResponse]]:
    stream = office.stub.Watch(pb.WatchRequest(call_id=call_id))
    assert (await stream.read()).HasField("watch_started")
    told: list[pb.WatchResponse] = []

    async def read() -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            while (event := await stream.read()) is not grpc.aio.EOF:
                told.append(event)

    return asyncio.create_task(read()), told


async def test_music_a_bridge_hold_and_back_to_the_agent(office: Office, brain: Any, speak: Any) -> None:
    reading, told = await watch(office, office.caller_id)
    _, heard = await office.both_talk()
    hears(heard)
    assert np.abs(np.frombuffer(heard, "<i2")).max() > 200  # music

    assert list((await office.bridge()).call_ids) == [office.person_id, office.caller_id]
    news = await office.talk.wait_for("bridge_changed")
    assert list(news.bridge_changed.joined.other_call_ids) == [office.person_id]
    assert news.bridge_changed.joined.ai == call_pb2.BRIDGED_AI_LISTENS
    by_caller, by_person = await office.both_talk()
    hears(by_caller, PERSON_HZ)
    hears(by_person, CALLER_HZ)
    listed = {one.facts.call_id: one for one in (await office.stub.List(pb.ListRequest())).calls}
    assert list(listed[office.caller_id].bridged_with) == [office.person_id]

    await office.stub.Hold(pb.HoldRequest(call_id=office.caller_id, on_hold=True))
    by_caller, by_person = await office.both_talk()
    hears(by_caller)
    assert np.abs(np.frombuffer(by_caller, "<i2")).max() > 200
    assert np.abs(np.frombuffer(by_person, "<i2")).max() <= 8
    await office.stub.Hold(pb.HoldRequest(call_id=office.caller_id, on_hold=False))
    hears((await office.both_talk())[0], PERSON_HZ)

    assert await office.person.bye() == 200
    left = await office.talk.wait_for("bridge_changed", 2)
    assert left.bridge_changed.left.reason == "the other side hung up"
    await speak(office.caller_id, 1, office.sounds.tone(AI_HZ, 1500))
    office.talk.command(play=brain_pb2.Play(utterance_id=1))
    start = len(office.caller.heard)
    await office.caller.say(office.sounds.tone(CALLER_HZ, 1000))
    hears(office.caller.pcm(start + 15), AI_HZ)
    assert await office.caller.bye() == 200
    await asyncio.wait_for(reading, 3)
    kinds = [one.WhichOneof("event") for one in told]
    assert kinds == ["bridged", "held", "held", "left_bridge", "ended"]


async def test_the_caller_hangs_up_and_the_person_gets_a_bye(office: Office) -> None:
    await office.bridge()
    assert await office.caller.bye() == 200
    await office.person.incoming("BYE")
    assert not (await office.stub.List(pb.ListRequest())).calls


async def test_a_side_that_holds_leaves_the_other_with_music(office: Office) -> None:
    await office.bridge()
    assert await office.caller.invite("x", office.caller.offer(direction="sendonly")) == 200
    start = len(office.person.heard)
    await office.person.say(office.sounds.tone(PERSON_HZ, 1000))
    heard = office.person.pcm(start + 15)
    hears(heard)
    assert np.abs(np.frombuffer(heard, "<i2")).max() > 200
    assert await office.caller.invite("x", office.caller.offer()) == 200
    by_caller, by_person = await office.both_talk()
    hears(by_caller, PERSON_HZ)
    hears(by_person, CALLER_HZ)


async def test_the_agent_speaks_to_both_then_coaches_one(office: Office, speak: Any) -> None:
    await office.bridge(call_pb2.BRIDGED_AI_SPEAKS)
    await speak(office.caller_id, 1, office.sounds.tone(AI_HZ, 1500))
    office.talk.command(play=brain_pb2.Play(utterance_id=1))
    by_caller, by_person = await office.both_talk()
    hears(by_caller, PERSON_HZ, AI_HZ)
    hears(by_person, CALLER_HZ, AI_HZ)
    await office.talk.wait_for("playout_finished")

    await office.stub.Whisper(pb.WhisperRequest(call_id=office.person_id, ai=True))
    await speak(office.caller_id, 2, office.sounds.tone(AI_HZ, 1500))
    office.talk.command(play=brain_pb2.Play(utterance_id=2))
    by_caller, by_person = await office.both_talk()
    hears(by_caller, PERSON_HZ)
    hears(by_person, CALLER_HZ, AI_HZ)
    await office.talk.wait_for("playout_finished", 2)


async def test_a_sound_is_whispered_to_the_person_alone(office: Office) -> None:
    reading, told = await watch(office, office.person_id)
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(16000)
        samples = 8000 * np.sin(2 * np.pi * SOUND_HZ * np.arange(16 * 1500) / 16000)
        wav.writeframes(samples.astype("<i2").tobytes())
    request = pb.WhisperRequest(call_id=office.person_id, sound=pb.WhisperSound(wav=file.getvalue()))
    assert (await office.stub.Whisper(request)).duration_ms == 1500
    hears((await office.both_talk())[1], SOUND_HZ)
    await office.bridge()
    request.sound.pcm = office.sounds.tone(SOUND_HZ, 1500)
    request.sound.sample_rate_hz = 8000
    await office.stub.Whisper(request)
    by_caller, by_person = await office.both_talk()
    hears(by_caller, PERSON_HZ)
    hears(by_person, CALLER_HZ, SOUND_HZ)
    async with asyncio.timeout(3):
        while sum(one.HasField("whisper_over") for one in told) < 2:
            await asyncio.sleep(0.02)
    assert [one.whisper_over.played for one in told if one.HasField("whisper_over")] == [False, True]
    reading.cancel()


async def test_a_brain_that_dies_ends_no_bridge(office: Office, brain: Any) -> None:
    await office.bridge()
    await brain.stop()
    await asyncio.sleep(2.5)
    by_caller, by_person = await office.both_talk()
    hears(by_caller, PERSON_HZ)
    hears(by_person, CALLER_HZ)
    await office.person.bye()
    await office.caller.incoming("BYE", within_s=15)  # the apology comes first


def sound(**one: Any) -> pb.WhisperSound:
    return pb.WhisperSound(**one)


@pytest.mark.parametrize(
    ("rpc", "asked", "code", "why"),
    [
        ("Bridge", {"call_id": "x", "other_call_id": "y"}, "NOT_FOUND", "no call 'x'"),
        ("Bridge", {"call_id": "A", "other_call_id": "y"}, "FAILED_PRECONDITION", "no call 'y'"),
        ("Bridge", {"call_id": "A", "other_call_id": "A"}, "FAILED_PRECONDITION", "with itself"),
        ("Bridge", {"call_id": "A", "other_call_id": "B", "ai": 4}, "INVALID_ARGUMENT", "Whisper"),
        ("Unbridge", {"call_id": "A"}, "FAILED_PRECONDITION", "in no bridge"),
        ("Hold", {"call_id": "x", "on_hold": True}, "NOT_FOUND", "no call 'x'"),
        ("Whisper", {"call_id": "B"}, "INVALID_ARGUMENT", "set sound, ai or stop"),
        ("Whisper", {"call_id": "A", "stop": True}, "FAILED_PRECONDITION", "in no bridge"),
        ("Whisper", {"call_id": "B", "sound": sound(wav=b"RIFF")}, "INVALID_ARGUMENT", "not readable as WAV"),
        ("Whisper", {"call_id": "B", "sound": sound(pcm=b"12", sample_rate_hz=44100)}, "INVALID_ARGUMENT", "44100"),
    ],
)
async def test_refusals_say_why(office: Office, rpc: str, asked: dict[str, Any], code: str, why: str) -> None:
    ids = {"A": office.caller_id, "B": office.person_id}
    request = getattr(pb, f"{rpc}Request")(**{name: ids.get(str(value), value) for name, value in asked.items()})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(office.stub, rpc)(request)
    assert refused.value.code().name == code
    assert why in str(refused.value.details())


async def test_a_call_is_placed_for_an_agent_or_for_a_bridge(office: Office) -> None:
    for more in ({}, {"agent": "front_desk", "hold_for_bridge": True}):
        request = pb.OriginateRequest(trunk="pbx", to="+4930111", **more)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await office.stub.Originate(request).read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "hold_for_bridge is" in str(refused.value.details())


async def test_hold_music_that_is_none_refuses_the_start(gateway: Any, tmp_path: Path) -> None:
    file = tmp_path / "hold.wav"
    file.write_bytes(b"no music")
    with pytest.raises(StartRefused, match=r"gateway\.hold_music: .*hold\.wav: not readable as WAV"):
        await gateway(hold_music=file)


async def test_what_the_caller_says_on_hold_is_for_nobody(office: Office, bus: Any) -> None:
    await office.stub.Hold(pb.HoldRequest(call_id=office.caller_id, on_hold=True))
    frames: list[AudioFrame] = []

    async def keep(message: Any) -> None:
        frames.append(AudioFrame.unpack(message.data))

    await bus.subscribe(caller_subject(office.caller_id), cb=keep)
    await bus.flush()
    await office.caller.say(office.sounds.tone(CALLER_HZ, 400))
    assert len(frames) >= 15
    assert not any(any(frame.samples) for frame in frames)
    assert [frame.sequence for frame in frames] == list(range(frames[0].sequence, frames[0].sequence + len(frames)))
    assert PCMU.decode(office.caller.heard[-1][1][12:]) != bytes(320)  # music
