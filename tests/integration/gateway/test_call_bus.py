"""A call's frames and its replay over a real NATS server."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from services.common.bus import agent_subject, caller_subject, connect_audio, connect_control, replay_subject
from services.common.frameclient import FrameClient
from services.common.media.frame import AudioFrame, split_frames
from services.gateway.call_bus import CallBus

SAMPLES = bytes(range(160)) * 2


@pytest.fixture
async def audio(nats_url: str) -> AsyncIterator[FrameClient]:
    client = await connect_audio(nats_url, "gateway")
    yield client
    await client.close()


@pytest.fixture
async def control(nats_url: str) -> AsyncIterator[Client]:
    client = await connect_control(nats_url, "gateway")
    yield client
    await client.close()


@pytest.fixture
async def other(nats_url: str) -> AsyncIterator[FrameClient]:
    client = await connect_audio(nats_url, "asr and tts")
    yield client
    await client.close()


async def test_frames_both_ways_and_again(audio: FrameClient, control: Client, other: FrameClient) -> None:
    agent: list[AudioFrame] = []
    caller: list[AudioFrame] = []
    call = CallBus("call-bus", audio, control, agent.append)
    other.subscribe_frames(caller_subject("call-bus"), lambda payload: caller.append(AudioFrame.unpack(payload)))
    await other.live()
    await call.open()
    said = [AudioFrame(number, number * 20_000, 8000, SAMPLES) for number in range(120)]
    for frame in said:
        call.publish(frame)
    spoken = [AudioFrame(number, 0, 8000, SAMPLES, 5) for number in range(3)]
    other.publish_frame(agent_subject("call-bus").encode(), b"no frame")
    for frame in spoken:
        other.publish_frame(agent_subject("call-bus").encode(), frame.pack())
    async with asyncio.timeout(5):
        while (len(caller), len(agent)) != (120, 3):
            await asyncio.sleep(0.01)
    assert caller == said
    assert agent == spoken
    assert (call.unsent, call.malformed) == (0, 1)

    inbox = other.new_inbox()
    answers = await other.subscribe(inbox)
    for request, expected in ((struct.pack("<I", 30), said[30:]), (b"what?", [])):
        await other.publish(replay_subject("call-bus"), request, reply=inbox)
        again: list[AudioFrame] = []
        while message := (await answers.next_msg(timeout=2)).data:
            again += split_frames(message, 8000)
        assert again == expected

    await call.close()
    await call.close()
    other.publish_frame(agent_subject("call-bus").encode(), spoken[0].pack())
    await other.live()
    await audio.live()
    assert agent == spoken


async def test_a_bus_that_is_gone_is_counted(audio: FrameClient, control: Client) -> None:
    call = CallBus("unheard", audio, control, lambda _frame: None)
    await call.open()
    await audio.close()
    call.publish(AudioFrame(0, 0, 8000, SAMPLES))
    assert call.unsent == 1
    await call.close()
