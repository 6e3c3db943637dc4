"""The gateway needs nobody to keep its manners: brains die, are silent or are not there."""

import asyncio

import pytest

from services.gateway.apology import apology
from tandem.v1 import brain_pb2 as pb

APOLOGY_S = len(apology(8000)) / 50


async def answered(gateway, brain):
    running = await gateway()
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    return phone, await brain.conversation()


async def hears_apology_and_bye(phone, within_s: float) -> None:
    await phone.incoming("BYE", within_s)
    said = phone.pcm()
    whole = b"".join(frame.samples for frame in apology(8000))
    assert len(said.strip(b"\0")) == pytest.approx(len(whole.strip(b"\0")), abs=3200)


async def test_no_brain_at_all(gateway, brain) -> None:
    running = await gateway(brain_address="127.0.0.1:9")
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    await hears_apology_and_bye(phone, APOLOGY_S + 2.5)


async def test_a_brain_that_dies_and_another_that_takes_over(gateway, brain, speak, sounds) -> None:
    phone, talk = await answered(gateway, brain)
    port = brain.port
    await brain.stop()
    await brain.serve(port)
    again = await brain.conversation(3)
    assert again.facts.call_id == talk.facts.call_id
    assert again.events[0].call_time_us > 0
    await speak(again.facts.call_id, 1, sounds.tone(500, 300))
    again.command(play=pb.Play(utterance_id=1))
    await again.wait_for("playout_finished")
    await asyncio.sleep(0.05)
    assert sounds.pitch(phone.pcm().strip(b"\0")) == pytest.approx(500, abs=5)


async def test_a_brain_that_is_silent(gateway, brain) -> None:
    brain.heartbeats = False
    phone, _ = await answered(gateway, brain)
    await hears_apology_and_bye(phone, APOLOGY_S + 4)


async def test_a_brain_that_goes_and_leaves_nobody(gateway, brain) -> None:
    phone, _ = await answered(gateway, brain)
    await brain.stop()
    await hears_apology_and_bye(phone, APOLOGY_S + 2)


async def test_a_brain_that_has_said_all(gateway, brain) -> None:
    phone, talk = await answered(gateway, brain)
    talk.end()
    await phone.incoming("BYE", 1)
    assert phone.pcm().strip(b"\0") == b""


async def test_a_caller_on_hold_is_not_kept_for_an_apology(gateway, brain) -> None:
    running = await gateway(brain_address="127.0.0.1:9")
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    async with asyncio.timeout(4):
        while not phone.pcm().strip(b"\0"):
            await asyncio.sleep(0.05)
    assert await phone.invite("front_desk", phone.offer(direction="sendonly")) == 200
    await phone.incoming("BYE", 1)


async def test_a_goodbye_that_nobody_can_hear_any_more(gateway, brain, speak, sounds) -> None:
    phone, talk = await answered(gateway, brain)
    await speak(talk.facts.call_id, 1, sounds.tone(440, 3000))
    talk.command(play=pb.Play(utterance_id=1))
    await talk.wait_for("playout_started")
    talk.command(hang_up=pb.HangUpCall(after_playout=True))
    assert await phone.invite("front_desk", phone.offer(direction="sendonly")) == 200
    await talk.wait_for("hold_changed")
    talk.end()
    await phone.incoming("BYE", 1)
