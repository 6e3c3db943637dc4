"""Media before our answer."""

import asyncio

import pytest

from tandem.v1 import brain_pb2

ROUTES = [
    {"called": "early", "agent": "front_desk", "ring_s": 0.6, "early_media": True},
    {"called": "at_once", "agent": "front_desk", "early_media": True},
]


@pytest.mark.parametrize("user", ["early", "at_once"])
async def test_the_path_is_open_and_the_agent_begins_with_the_answer(gateway, brain, speak, sounds, user) -> None:
    running = await gateway(routes=ROUTES)
    phone = await running.telephone()
    ringing = asyncio.create_task(phone.invite(user))
    if user == "early":
        await asyncio.sleep(0.4)
        assert not ringing.done()
        assert len(phone.heard) >= 3
        assert {data[12:] for _, data in phone.heard} == {b"\xff" * 160}
        assert brain.conversations.empty()
    assert await ringing == 200
    talk = await brain.conversation()
    assert talk.events[0].call_time_us < 300_000  # of the answer's clock, not of the INVITE's
    before = len(phone.heard)
    await speak(talk.facts.call_id, 1, sounds.tone(440, 500))
    talk.command(play=brain_pb2.Play(utterance_id=1))
    await talk.wait_for("playout_finished")
    assert sounds.pitch(phone.pcm(before)) == pytest.approx(440, abs=5)
    numbers = [int.from_bytes(data[2:4], "big") for _, data in phone.heard]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))  # one stream, before and after
    assert await phone.bye() == 200
