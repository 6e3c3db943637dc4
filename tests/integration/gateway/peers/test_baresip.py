"""A telephone not written by us: baresip 1.0, over UDP, TCP and TLS."""

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from services.common.bus import caller_subject
from services.common.media.frame import AudioFrame
from services.common.telemetry import names
from tandem.v1 import brain_pb2
from tandem.v1 import gateway_pb2 as pb
from tests.integration.gateway.peers.ports import COLLEAGUE, GATEWAY, PHONE
from tests.integration.ports import free_port


def local(**trunk) -> dict:
    """Settings of a gateway with one trunk that is this machine."""
    return {
        "sip_address": f"{GATEWAY}:{free_port(GATEWAY)}",
        "trunks": [{"name": "desk", "allow": ["127.0.0.0/8"], **trunk}],
    }


async def in_a_call(running, brain, phone, transport: str = "udp"):
    await phone.call(f"sip:front_desk@{running.settings.sip_address};transport={transport}")
    return await brain.conversation()


class Listener:
    """What a caller says, as the recogniser gets it."""

    def __init__(self, bus) -> None:
        self._bus = bus
        self._frames: list[AudioFrame] = []

    async def open(self, call_id: str) -> "Listener":
        async def keep(message) -> None:
            self._frames.append(AudioFrame.unpack(message.data))

        await self._bus.subscribe(caller_subject(call_id), cb=keep)
        await self._bus.flush()
        return self

    async def hears(self, sounds, hz: float) -> None:
        """Half a second of this tone, from now on."""
        self._frames.clear()
        async with asyncio.timeout(5):
            while len([one for one in self._frames if not one.flags]) < 25:
                await asyncio.sleep(0.02)
        pcm = b"".join(one.samples for one in self._frames if not one.flags)
        assert sounds.pitch(pcm) == pytest.approx(hz, abs=5)


async def test_hold_and_keys(gateway, brain, phones, bus, say, sounds) -> None:
    running = await gateway(**local())
    phone = await phones(PHONE, "ada", tone_hz=440)
    talk = await in_a_call(running, brain, phone)
    listener = await Listener(bus).open(talk.facts.call_id)
    await listener.hears(sounds, 440)
    await say(talk, 700)
    await phone.hold()
    assert (await talk.wait_for("hold_changed")).hold_changed.on_hold
    await phone.resume()
    assert not (await talk.wait_for("hold_changed", 2)).hold_changed.on_hold
    await listener.hears(sounds, 440)
    await phone.command("sndcode", "19#")
    await talk.wait_for("dtmf", 3)
    assert "".join(one.dtmf.digit for one in talk.of("dtmf")) == "19#"
    talk.command(send_dtmf=brain_pb2.SendDtmf(digits="42"))
    await asyncio.sleep(0.8)
    await phone.command("hangup")
    assert (await talk.wait_for("hung_up")).hung_up.by_caller
    assert sounds.pitch((await phone.heard()).strip(b"\0")) == pytest.approx(700, abs=10)
    assert re.search(r"received event: '4' \(end=1\).*received event: '2' \(end=1\)", phone.printed, re.S)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_we_transfer(gateway, brain, phones, control, sounds, transport) -> None:
    running = await gateway(**local())
    colleague = await phones(COLLEAGUE, "bob", ";answermode=auto")
    phone = await phones(PHONE, "ada", tone_hz=440)
    talk = await in_a_call(running, brain, phone, transport)
    operator, call_id = control(running), talk.facts.call_id
    told = await operator.refer(call_id, colleague.uri, colleague.event("CALL_ESTABLISHED"))
    assert told == [202, 100, 200]
    await operator.stub.HangUp(pb.HangUpRequest(call_id=call_id, reason="transferred"))
    assert (await talk.wait_for("hung_up")).hung_up.reason == "transferred"
    await phone.event("CALL_CLOSED")
    await asyncio.sleep(0.5)
    assert not colleague.of("CALL_CLOSED")
    assert sounds.pitch((await colleague.heard()).strip(b"\0")) == pytest.approx(440, abs=10)


async def test_we_transfer_to_who_declines(gateway, brain, phones, bus, control, sounds) -> None:
    """The call goes on with us."""
    running = await gateway(**local())
    colleague = await phones(COLLEAGUE, "bob")
    phone = await phones(PHONE, "ada", tone_hz=440)
    talk = await in_a_call(running, brain, phone)

    async def decline() -> None:
        await colleague.event("CALL_INCOMING")
        await colleague.command("hangup")

    told = await control(running).refer(talk.facts.call_id, colleague.uri, decline())
    assert told == [202, 100, 486]
    listener = await Listener(bus).open(talk.facts.call_id)
    await listener.hears(sounds, 440)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_telephone_transfers_us(gateway, brain, phones, bus, say, sounds, transport) -> None:
    """REFER from baresip: we call the other, and the conversation goes on there."""
    colleague = await phones(COLLEAGUE, "bob", ";answermode=auto", tone_hz=600)
    running = await gateway(
        **local(
            refer="follow",
            proxy=f"sip:{colleague.host}:{colleague.port}",
            outbound={"caller": "front_desk", "destinations": ["bob"]},
        )
    )
    phone = await phones(PHONE, "ada", tone_hz=440)
    talk = await in_a_call(running, brain, phone, transport)
    listener = await Listener(bus).open(talk.facts.call_id)
    await listener.hears(sounds, 440)
    await phone.command("transfer", colleague.uri)
    await colleague.event("CALL_ESTABLISHED")
    await phone.event("CALL_CLOSED")
    await listener.hears(sounds, 600)
    await say(talk, 700)
    talk.command(hang_up=brain_pb2.HangUpCall(reason="said goodbye"))
    await colleague.event("CALL_CLOSED")
    assert sounds.pitch((await colleague.heard()).strip(b"\0")) == pytest.approx(700, abs=10)


def calling(phone) -> dict:
    """Settings of a gateway whose calls go to this telephone."""
    uri = f"sip:{phone.host}:{phone.port};transport=tcp"
    return local(proxy=uri, outbound={"caller": "front_desk", "destinations": ["bob"]})


async def test_a_call_out_is_declined(gateway, phones, control) -> None:
    phone = await phones(COLLEAGUE, "bob")
    running = await gateway(**calling(phone))
    told = asyncio.create_task(control(running).originate("desk", "bob"))
    await phone.event("CALL_INCOMING")
    await phone.command("hangup")
    assert (await told).failed.failure == pb.ORIGINATE_FAILURE_BUSY


async def test_early_media(gateway, brain, phones, bus, control, sounds) -> None:
    """183 with SDP: it is heard, and not spoken over, until the 200."""
    phone = await phones(COLLEAGUE, "bob", ";answermode=early", tone_hz=600)
    running = await gateway(**calling(phone))
    request = pb.OriginateRequest(trunk="desk", to="bob", agent="front_desk")
    told = []
    async for one in control(running).stub.Originate(request, timeout=10):
        told.append(one.WhichOneof("progress"))
        if told[-1] == "early_media":
            await phone.event("CALL_RTPESTAB")
            await phone.command("accept")
    assert told[-2:] == ["early_media", "answered"]
    talk = await brain.conversation()
    await (await Listener(bus).open(talk.facts.call_id)).hears(sounds, 600)


@dataclass
class Certificates:
    """PEM files: of each address one with key and certificate, and of the authority that vouches for all."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    @property
    def ca(self) -> Path:
        return self._written("ca.pem", self.authority.cert_pem)

    def of(self, host: str, authority: trustme.CA | None = None) -> Path:
        issued = (authority or self.authority).issue_cert(host)
        return self._written(f"{host}.pem", issued.private_key_and_cert_chain_pem)

    def _written(self, name: str, pem: trustme.Blob) -> Path:
        pem.write_to_path(self.folder / name)
        return self.folder / name


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def secured(certificates: Certificates, **trunk) -> dict:
    """Settings of a gateway whose calls are all TLS and SRTP."""
    own = certificates.of(GATEWAY)
    return {
        **local(srtp="required", **trunk),
        "sip_tls_port": free_port(GATEWAY),
        "sip_tls": {"certificates": [{"certificate": own, "key": own}], "ca": certificates.ca},
    }


@pytest.mark.parametrize(
    ("encryption", "profile"), [("srtp", "RTP/AVP"), ("srtp-mand", "RTP/SAVP"), ("srtp-mandf", "RTP/SAVPF")]
)
async def test_tls_and_srtp(gateway, phones, certificates, control, hangup, sounds, encryption, profile) -> None:
    """Its own voice comes back to it on the echo number. (This version believes any certificate.)"""
    running = await gateway(**secured(certificates))
    phone = await phones(PHONE, "ada", f";mediaenc={encryption}", tone_hz=440)
    await phone.call(f"sip:echo@{GATEWAY}:{running.settings.sip_tls_port};transport=tls")
    assert "SRTP is Enabled (cryptosuite=AES_CM_128_HMAC_SHA1_80)" in phone.printed
    await asyncio.sleep(1)
    await phone.hold()
    await phone.resume()
    await asyncio.sleep(0.5)
    await phone.command("hangup")
    await phone.event("CALL_CLOSED")
    seen = await control(running).sip()
    assert {one.split()[1] for one in seen} == {"TLS"}
    answers = [one for one in seen if one.startswith("> TLS SIP/2.0 200") and "m=audio" in one]
    assert [re.findall(r"m=audio \d+ (\S+)|^a=((?:recv|send)\w+)\r", one, re.M) for one in answers] == [
        [(profile, ""), ("", direction)] for direction in ("sendrecv", "recvonly", "sendrecv")
    ]
    assert all("a=crypto:" in one for one in answers)
    assert sounds.pitch((await phone.heard()).strip(b"\0")) == pytest.approx(440, abs=10)
    (counts,) = hangup()
    assert min(counts[names.RTP_PACKETS_RECEIVED], counts[names.RTP_PACKETS_SENT]) > 50
    for wrong in (names.SRTP_PACKETS_UNAUTHENTIC, names.SRTP_PACKETS_REPLAYED, names.RTP_PACKETS_FOREIGN):
        assert counts[wrong] == 0, wrong


async def test_srtp_is_required(gateway, phones, certificates) -> None:
    running = await gateway(**secured(certificates))
    phone = await phones(PHONE, "ada")
    await phone.command("dial", f"sip:echo@{GATEWAY}:{running.settings.sip_tls_port};transport=tls")
    assert (await phone.event("CALL_CLOSED"))["param"].startswith("488")


async def calling_bob(gateway, phones, certificates: Certificates, shown: Path):
    """A gateway, and a telephone that shows this certificate and is called by TLS."""
    phone = await phones(
        COLLEAGUE, "bob", ";mediaenc=srtp-mand;answermode=auto", config=f"sip_certificate {shown}"
    )  # fmt: skip
    running = await gateway(
        **secured(
            certificates,
            # It listens for TLS one port above the other transports'.
            proxy=f"sip:{phone.host}:{phone.port + 1};transport=tls",
            outbound={"caller": "front_desk", "destinations": ["bob"]},
        )
    )
    return running, phone


async def test_a_call_out_over_tls_and_srtp(gateway, brain, phones, certificates, control, hangup, say, sounds) -> None:
    running, phone = await calling_bob(gateway, phones, certificates, certificates.of(COLLEAGUE))
    told = await control(running).originate("desk", "bob")
    assert told.answered.called_number == "bob", told
    talk = await brain.conversation()
    await say(talk, 700)
    talk.command(hang_up=brain_pb2.HangUpCall(reason="said goodbye"))
    await phone.event("CALL_CLOSED")
    assert "SRTP is Enabled" in phone.printed
    assert sounds.pitch((await phone.heard()).strip(b"\0")) == pytest.approx(700, abs=10)
    (counts,) = hangup()
    assert counts[names.RTP_PACKETS_RECEIVED] > 20
    assert counts[names.SRTP_PACKETS_UNAUTHENTIC] == 0


async def test_no_call_to_who_cannot_prove_who_he_is(gateway, phones, certificates, control) -> None:
    running, phone = await calling_bob(gateway, phones, certificates, certificates.of(COLLEAGUE, trustme.CA()))
    told = await control(running).originate("desk", "bob")
    assert told.failed.failure == pb.ORIGINATE_FAILURE_UNREACHABLE, told
    assert not phone.of("CALL_INCOMING")
