"""baresip with the codecs, the keys and the ways through NAT that it has: Opus, G.722, SDES, DTLS, ICE, RTCP."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from services.common.bus import agent_subject, caller_subject
from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.common.telemetry import names
from tandem.v1 import brain_pb2
from tests.integration.gateway.peers.baresip import G722, OPUS, PCMA
from tests.integration.gateway.peers.ports import COLLEAGUE, PHONE
from tests.integration.gateway.peers.test_baresip import local

AMPLITUDE = 8000
"""Of every tone."""
LEVEL = AMPLITUDE / 2**0.5
"""Its RMS."""
SLOT_S = 0.02


def tone(hz: float, seconds: float, rate_hz: int) -> np.ndarray:
    return AMPLITUDE * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def pitch(samples: np.ndarray, rate_hz: int) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return float(np.argmax(spectrum)) * rate_hz / (1 << 18)


def levels(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """RMS of each 20 ms."""
    size = round(rate_hz * SLOT_S)
    slots = samples[: len(samples) // size * size].reshape(-1, size)
    return np.sqrt(np.mean(slots**2, axis=1))


def quiet_ms(samples: np.ndarray, rate_hz: int) -> int:
    """The longest pause between the first sound and the last."""
    loud = np.flatnonzero(levels(samples, rate_hz) > LEVEL / 8)
    return 0 if len(loud) < 2 else round((int(np.diff(loud).max()) - 1) * SLOT_S * 1000)


async def heard_by(phone: Any) -> np.ndarray:
    return np.frombuffer(await phone.heard(), "<i2").astype(float)


Check = Callable[[np.ndarray, int, float, float], None]


@pytest.fixture
async def is_the_tone() -> AsyncIterator[Check]:
    """(samples, rate, Hz, seconds): at least as long, of this pitch, as loud to 1.5 dB, without a crack or a hole.

    Where the machine is busy the gateway, whose loop is the test's, misses slots: so much is no defect of the sound.
    """
    worst_ms = 0.0

    async def watch() -> None:
        nonlocal worst_ms
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + SLOT_S
            await asyncio.sleep(SLOT_S)
            worst_ms = max(worst_ms, (clock() - due) * 1000)

    def check(samples: np.ndarray, rate_hz: int, hz: float, seconds: float) -> None:
        loud = levels(samples, rate_hz)
        loud = loud[loud > LEVEL / 8]
        hole_ms = 40 + 3 * worst_ms
        assert len(loud) * SLOT_S >= seconds - hole_ms / 1000, f"{len(loud)} slots; the loop stood {worst_ms:.0f} ms"
        assert pitch(samples, rate_hz) == pytest.approx(hz, abs=3)
        decibels = 20 * np.log10(np.median(loud) / LEVEL)
        assert abs(decibels) < 1.5, f"{decibels:.1f} dB"
        assert np.abs(samples).max() < 2.5 * AMPLITUDE, "a crack"
        quiet = quiet_ms(samples, rate_hz)
        assert quiet <= hole_ms, f"a hole of {quiet} ms; the loop stood {worst_ms:.0f} ms"

    task = asyncio.create_task(watch())
    yield check
    task.cancel()


def nothing_wrong(counts: dict[str, Any], packets: int = 50) -> None:
    assert min(counts[names.RTP_PACKETS_RECEIVED], counts[names.RTP_PACKETS_SENT]) > packets
    for wrong in (names.SRTP_PACKETS_UNAUTHENTIC, names.SRTP_PACKETS_REPLAYED, names.RTP_PACKETS_FOREIGN):
        assert counts[wrong] == 0, wrong
    assert counts[names.RTP_PACKETS_LOST] == 0


async def echoes(running: Any, phone: Any, seconds: float = 2) -> np.ndarray:
    """What comes back to the telephone of its own voice."""
    await phone.call(f"sip:echo@{running.settings.sip_address}")
    await asyncio.sleep(seconds)
    await phone.command("hangup")
    await phone.event("CALL_CLOSED")
    print(phone.printed)  # what went wrong, where it does
    return await heard_by(phone)


@pytest.mark.parametrize(
    ("codec", "hz"),
    [(PCMA, 440), (G722, 440), (OPUS, 5000)],
    ids=["PCMA-440", "G722-440", "OPUS-5000"],
)
async def test_its_voice_comes_back(gateway, phones, hangup, is_the_tone, codec, hz) -> None:
    """RTCP too: how far away it is, and what it has lost."""
    running = await gateway(**local())
    phone = await phones(PHONE, "ada", codec=codec, tone_hz=hz)
    back = await echoes(running, phone, 5.5)
    is_the_tone(back, codec.rate_hz, hz, 5)
    (counts,) = hangup()
    nothing_wrong(counts)
    assert 0 <= counts[names.RTP_RTT_MS] < 50
    assert counts[names.RTP_REMOTE_LOSS_PCT] == 0


class Frames:
    """What the caller says, as it stands on the bus."""

    def __init__(self) -> None:
        self.kept: list[AudioFrame] = []

    async def open(self, bus: Any, call_id: str) -> "Frames":
        async def keep(message: Any) -> None:
            self.kept.append(AudioFrame.unpack(message.data))

        await bus.subscribe(caller_subject(call_id), cb=keep)
        await bus.flush()
        return self

    async def are_the_tone(self, check: Check, rate_hz: int, hz: float) -> None:
        """A second of it, from now on."""
        # What was said before is still on its way.
        await asyncio.sleep(0.2)
        self.kept.clear()
        async with asyncio.timeout(3):
            while len(self.kept) < 50:
                await asyncio.sleep(0.02)
        kept = self.kept[:50]
        assert {(one.sample_rate_hz, len(one.samples)) for one in kept} == {(rate_hz, rate_hz // 25)}
        assert [one.sequence - kept[0].sequence for one in kept] == list(range(50))
        check(np.frombuffer(b"".join(one.samples for one in kept), "<i2").astype(float), rate_hz, hz, 1)


async def says(bus: Any, talk: Any, utterance_id: int, samples: np.ndarray, rate_hz: int) -> None:
    """The agent, to the end."""
    pcm, size = samples.astype("<i2").tobytes(), rate_hz // 25
    pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    for index, piece in enumerate(pieces):
        flags = END_OF_UTTERANCE if index == len(pieces) - 1 else 0
        frame = AudioFrame(index, 0, rate_hz, piece, utterance_id, flags)
        await bus.publish(agent_subject(talk.facts.call_id), frame.pack())
    await bus.flush()
    talk.command(play=brain_pb2.Play(utterance_id=utterance_id))
    await talk.wait_for("playout_finished", utterance_id)


@pytest.mark.parametrize(
    ("codec", "rate_hz", "hz", "agent_hz"),
    [(PCMA, 8000, 1000, 700), (G722, 16000, 5000, 6000), (OPUS, 16000, 5000, 6000)],
    ids=["PCMA", "G722", "OPUS"],
)
async def test_with_an_agent(gateway, brain, phones, bus, hangup, is_the_tone, codec, rate_hz, hz, agent_hz) -> None:
    """Both ways, through a hold, and keys both ways, each once."""
    running = await gateway(**local())
    phone = await phones(PHONE, "ada", codec=codec, tone_hz=hz)
    await phone.call(f"sip:front_desk@{running.settings.sip_address}")
    talk = await brain.conversation()
    assert talk.facts.audio.sample_rate_hz == rate_hz
    frames = await Frames().open(bus, talk.facts.call_id)
    await frames.are_the_tone(is_the_tone, rate_hz, hz)
    await says(bus, talk, 1, tone(agent_hz, 1, rate_hz), rate_hz)
    await phone.command("sndcode", "19#")
    await talk.wait_for("dtmf", 3)
    talk.command(send_dtmf=brain_pb2.SendDtmf(digits="42"))
    await frames.are_the_tone(is_the_tone, rate_hz, hz)
    await phone.hold()
    assert (await talk.wait_for("hold_changed")).hold_changed.on_hold
    await phone.resume()
    assert not (await talk.wait_for("hold_changed", 2)).hold_changed.on_hold
    await frames.are_the_tone(is_the_tone, rate_hz, hz)
    await phone.command("sndcode", "7")
    await talk.wait_for("dtmf", 4)
    await asyncio.sleep(0.3)
    await phone.command("hangup")
    assert (await talk.wait_for("hung_up")).hung_up.by_caller
    assert "".join(one.dtmf.digit for one in talk.of("dtmf")) == "19#7"
    # With Opus this version counts an event by the sound's 48 kHz, though it offers telephone-event/8000.
    longest_ms = 400 * (6 if codec is OPUS else 1)
    assert all(40 <= one.dtmf.duration_ms <= longest_ms for one in talk.of("dtmf")), talk.of("dtmf")
    assert re.findall(r"received event: '(.)' \(end=1\)", phone.printed) == ["4", "2"]
    is_the_tone(await heard_by(phone), codec.rate_hz, agent_hz, 1)
    (counts,) = hangup()
    nothing_wrong(counts)


DTLS, ICE = ("dtls_srtp.so",), ("ice.so",)


@pytest.mark.parametrize(
    ("nat", "encryption", "profile"),
    [
        ("ice", "", "RTP/AVP"), ("", "srtp", "RTP/AVP"), ("ice", "srtp-mand", "RTP/SAVP"),
        ("", "dtls_srtp", "UDP/TLS/RTP/SAVPF"), ("ice", "dtls_srtp", "UDP/TLS/RTP/SAVPF"),
    ],
)  # fmt: skip
async def test_keys_and_checks(gateway, phones, control, hangup, is_the_tone, nat, encryption, profile) -> None:
    running = await gateway(**local(srtp="required" if encryption else "off"))
    account = (f";mediaenc={encryption}" if encryption else "") + (f";medianat={nat}" if nat else "")
    phone = await phones(PHONE, "ada", account, codec=OPUS, modules=DTLS + ICE, config="rtcp_mux yes")
    back = await echoes(running, phone)
    is_the_tone(back, OPUS.rate_hz, 440, 1.5)
    (counts,) = hangup()
    nothing_wrong(counts)
    answers = [one for one in await control(running).sip() if one.startswith("> UDP SIP/2.0 200") and "m=audio" in one]
    # With ICE it offers again, by the address that was chosen.
    assert [re.findall(r"m=audio \d+ (\S+)", one) for one in answers] == [[profile]] * (2 if nat else 1)
    assert all(("a=ice-lite" in one) == bool(nat) for one in answers)


@pytest.mark.parametrize(("nat", "encryption"), [("ice", ""), ("ice", "srtp-mand"), ("", "dtls_srtp")])
async def test_rtcp_on_a_port_of_its_own(gateway, phones, hangup, is_the_tone, encryption, nat) -> None:
    """With ICE that is a second component, which it checks too. By DTLS no RTCP goes there, but the sound does."""
    running = await gateway(**local(srtp="optional"))
    account = (f";mediaenc={encryption}" if encryption else "") + (f";medianat={nat}" if nat else "")
    phone = await phones(PHONE, "ada", account, codec=OPUS, modules=DTLS + ICE, config="rtcp_mux no")
    seconds = 2 if encryption == "dtls_srtp" else 5.5
    back = await echoes(running, phone, seconds)
    is_the_tone(back, OPUS.rate_hz, 440, seconds - 0.5)
    (counts,) = hangup()
    nothing_wrong(counts)
    if encryption != "dtls_srtp":
        assert 0 <= counts[names.RTP_RTT_MS] < 50


@pytest.mark.parametrize(
    ("codec", "ptime_ms"),
    [(OPUS, 60), (G722, 40), (PCMA, 10)],
    ids=["OPUS-60", "G722-40", "PCMA-10"],
)
async def test_packets_of_other_lengths(gateway, brain, phones, bus, hangup, is_the_tone, codec, ptime_ms) -> None:
    running = await gateway(**local())
    phone = await phones(PHONE, "ada", f";ptime={ptime_ms}", codec=codec)
    await phone.call(f"sip:front_desk@{running.settings.sip_address}")
    talk = await brain.conversation()
    rate_hz = talk.facts.audio.sample_rate_hz
    frames = await Frames().open(bus, talk.facts.call_id)
    await frames.are_the_tone(is_the_tone, rate_hz, 440)
    await says(bus, talk, 1, tone(700, 1, rate_hz), rate_hz)
    # Its jitter buffer holds ten packets.
    await asyncio.sleep(0.1 + ptime_ms / 100)
    await phone.command("hangup")
    await talk.wait_for("hung_up")
    is_the_tone(await heard_by(phone), codec.rate_hz, 700, 1)
    (counts,) = hangup()
    nothing_wrong(counts, 30)


@pytest.mark.parametrize("dtls", [False, True], ids=["sdes", "dtls"])
async def test_a_call_out_with_opus_and_keys(gateway, brain, phones, bus, control, hangup, is_the_tone, dtls) -> None:
    """Ours is the offer."""
    encryption = "dtls_srtp" if dtls else "srtp-mand"
    phone = await phones(
        COLLEAGUE, "bob", f";mediaenc={encryption};answermode=auto", codec=OPUS, tone_hz=5000, modules=DTLS
    )  # fmt: skip
    running = await gateway(
        **local(
            proxy=f"sip:{phone.host}:{phone.port}",
            outbound={"caller": "front_desk", "destinations": ["bob"]},
            srtp="required",
            dtls=dtls,
        )
    )
    told = await control(running).originate("desk", "bob")
    assert told.answered.called_number == "bob", told
    talk = await brain.conversation()
    rate_hz = talk.facts.audio.sample_rate_hz
    assert rate_hz == 16000
    await (await Frames().open(bus, talk.facts.call_id)).are_the_tone(is_the_tone, rate_hz, 5000)
    await says(bus, talk, 1, tone(6000, 1, rate_hz), rate_hz)
    await asyncio.sleep(0.3)
    talk.command(hang_up=brain_pb2.HangUpCall(reason="said goodbye"))
    await phone.event("CALL_CLOSED")
    is_the_tone(await heard_by(phone), OPUS.rate_hz, 6000, 1)
    (counts,) = hangup()
    nothing_wrong(counts)
