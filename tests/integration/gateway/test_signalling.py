"""Refusals, the echo number, CallControl, shutdown, traces."""

import asyncio
import re
import subprocess
import sys

import grpc
import pytest

from services.common.rpc import connect
from services.gateway.settings import TrunkSettings
from tandem.v1 import gateway_pb2
from tandem.v1.gateway_pb2_grpc import CallControlStub


async def test_unknown_number_is_404(gateway) -> None:
    phone = await (await gateway()).telephone()
    assert await phone.invite("nobody") == 404


@pytest.mark.parametrize(
    "change", [lambda sdp: sdp.replace("0 8 101", "3 18"), lambda sdp: sdp.replace("m=audio", "m=video")]
)
async def test_no_common_codec_is_488(gateway, change) -> None:
    phone = await (await gateway()).telephone()
    assert await phone.invite("echo", change(phone.offer())) == 488


async def test_malformed_sip_changes_nothing(gateway) -> None:
    phone = await (await gateway()).telephone()
    for junk in (b"", b"\0" * 40, b"INVITE sip:echo SIP/2.0\r\n\r\n", b"\xff" * 3000, b"SIP/2.0 200 OK\r\n\r\n"):
        phone.sip.sendto(junk, phone.gateway)
    assert await phone.invite("echo", "v=1\r\nthis is no SDP") == 400
    assert await (await _again(phone)).invite("echo") == 200


async def _again(phone):
    """The same telephone, next call."""
    phone.call_id += "x"
    phone.to = ""
    return phone


async def test_full_is_503_and_the_slot_comes_back(gateway) -> None:
    running = await gateway(max_calls=1)
    first, second = await running.telephone(), await running.telephone()
    assert await first.invite("echo") == 200
    assert await second.invite("echo") == 503
    assert re.search(r"^Retry-After: \d+", second.last_response, re.M)
    assert await first.bye() == 200
    assert await (await _again(second)).invite("echo") == 200


async def test_refused_calls_free_their_slots(gateway) -> None:
    running = await gateway(max_calls=1)
    phone = await running.telephone()
    for user in ("nobody", "nobody"):
        assert await (await _again(phone)).invite(user) == 404
    assert await (await _again(phone)).invite("echo") == 200


async def test_sources_outside_the_trunks_are_not_answered(gateway) -> None:
    trunk = TrunkSettings(name="carrier", allow=["192.0.2.0/24"])
    phone = await (await gateway(trunks=[trunk])).telephone()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await phone.invite("echo")


async def test_echo(gateway, sounds) -> None:
    phone = await (await gateway(brain_address="127.0.0.1:9")).telephone()
    assert await phone.invite("echo") == 200
    await phone.say(sounds.tone(700, 1000))
    await asyncio.sleep(0.1)
    back = phone.pcm().strip(b"\0")
    assert sounds.pitch(back) == pytest.approx(700, abs=3)
    assert len(back) / 2 == pytest.approx(8000, abs=500)
    assert await phone.bye() == 200


async def test_echo_in_alaw(gateway) -> None:
    phone = await (await gateway()).telephone()
    assert await phone.invite("echo", phone.offer("8 101")) == 200
    for _ in range(10):
        phone.send_rtp(b"\x2a" * 160, 8)
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    assert {data[1] & 0x7F for _, data in phone.heard} == {8}
    assert {data[12:] for _, data in phone.heard} == {b"\xd5" * 160, b"\x2a" * 160}


async def test_refer_and_watch(gateway, brain) -> None:
    running = await gateway()
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    talk = await brain.conversation()
    call_id = talk.facts.call_id
    async with connect(talk.facts.control_address) as channel:
        control = CallControlStub(channel)
        calls = (await control.List(gateway_pb2.ListRequest())).calls
        assert [one.facts.call_id for one in calls] == [call_id]
        assert calls[0].call_time_us > 0
        watch = control.Watch(gateway_pb2.WatchRequest(call_id=call_id))
        assert (await watch.read()).WhichOneof("event") == "watch_started"
        answer = await control.Refer(gateway_pb2.ReferRequest(call_id=call_id, target="sip:100@127.0.0.1"))
        assert (answer.sip_status, answer.reason_phrase) == (202, "Accepted")
        refer = await phone.incoming("REFER")
        assert "Refer-To: <sip:100@127.0.0.1>" in refer
        for status, state in (("180 Ringing", "active;expires=60"), ("200 OK", "terminated;reason=noresource")):
            headers = f"Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n"
            phone.request("NOTIFY", "gateway", f"SIP/2.0 {status}\r\n", headers)
            assert (await asyncio.wait_for(phone.responses.get(), 5)).startswith("SIP/2.0 200")
        progress = [(await watch.read()).refer_progress for _ in range(2)]
        assert [(one.sip_status, one.reason_phrase, one.final) for one in progress] == [
            (180, "Ringing", False),
            (200, "OK", True),
        ]
        await control.HangUp(gateway_pb2.HangUpRequest(call_id=call_id, reason="transferred"))
        await phone.incoming("BYE")
        ended = await watch.read()
        assert ended.ended == gateway_pb2.CallEnded(by_caller=False, reason="transferred")
        assert await watch.read() is grpc.aio.EOF
        assert (await talk.wait_for("hung_up")).hung_up.reason == "transferred"


@pytest.mark.parametrize(
    ("call_id", "target", "code"),
    [
        ("none", "sip:100@127.0.0.1", grpc.StatusCode.NOT_FOUND),
        (None, "mailto:x@y", grpc.StatusCode.INVALID_ARGUMENT),
        (None, "sip:1@x>\r\nEvil: yes", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_refer_refused(gateway, brain, call_id, target, code) -> None:
    running = await gateway()
    phone = await running.telephone()
    await phone.invite("front_desk")
    facts = (await brain.conversation()).facts
    async with connect(facts.control_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await CallControlStub(channel).Refer(
                gateway_pb2.ReferRequest(call_id=call_id or facts.call_id, target=target)
            )
    assert refused.value.code() is code


async def test_shutdown_says_goodbye(gateway, brain) -> None:
    running = await gateway()
    phone, late = await running.telephone(), await running.telephone()
    assert await phone.invite("front_desk") == 200
    talk = await brain.conversation()
    started = asyncio.get_running_loop().time()
    running.stop.set()
    await phone.incoming("BYE", 1)
    assert await late.invite("echo") == 503
    await asyncio.wait_for(running.task, 2)
    assert asyncio.get_running_loop().time() - started < 2
    assert talk.of("hung_up")[0].hung_up.reason == "shutting down"


def gateway_process(tmp_path, text: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "tandem.yaml"
    file.write_text(text)
    command = [sys.executable, "-m", "services.gateway", "--settings", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


async def test_a_taken_port_is_one_line(gateway, tmp_path) -> None:
    address = (await gateway()).settings.sip_address
    ended = await asyncio.to_thread(gateway_process, tmp_path, f"gateway:\n  sip_address: {address}\n")
    assert ended.returncode == 2
    assert ended.stderr == (
        f"gateway: cannot listen on {address} for SIP (UDP): Address already in use; "
        "end what listens there, or set another address\n"
    )


def test_an_open_address_without_trunks_is_refused(tmp_path) -> None:
    ended = gateway_process(tmp_path, "gateway:\n  sip_address: 192.0.2.1:5060\n")
    assert ended.returncode == 2
    assert "no trunk has an allow list" in ended.stderr
    assert ended.stderr.count("\n") == 1


async def test_a_name_that_is_no_utf8_in_the_asserted_identity(gateway) -> None:
    running = await gateway(max_calls=1, trunks=[TrunkSettings(name="pbx", allow=["127.0.0.1/32"])])
    phone = await running.telephone()
    phone.asserted = b'"M\xfcller" <sip:+4930@127.0.0.1>'
    assert await phone.invite("echo") == 200
    await phone.say(bytes(320 * 5))
    assert phone.heard
    assert await phone.bye() == 200


async def test_a_defect_while_a_call_is_set_up_costs_this_call_only(gateway, monkeypatch) -> None:
    running = await gateway(max_calls=1)
    phone = await running.telephone()
    with monkeypatch.context() as patched:
        patched.setattr("services.gateway.switchboard.MediaSession.start", lambda _: 1 / 0)
        assert await phone.invite("echo") == 200
        await phone.incoming("BYE", 1)
    assert await (await _again(phone)).invite("echo") == 200


async def test_the_goodbye_lasts_no_longer_than_its_answers(gateway) -> None:
    running = await gateway()
    phone = await running.telephone()
    assert await phone.invite("echo") == 200
    started = asyncio.get_running_loop().time()
    running.stop.set()
    await asyncio.wait_for(running.task, 2)
    assert asyncio.get_running_loop().time() - started < 0.8
    await phone.incoming("BYE", 0.1)
