"""A gateway of several worker processes: real processes, sipp for the carrier, and signals."""

import asyncio
import os
import re
import secrets
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2

from tandem.v1 import gateway_pb2 as pb
from tests.integration.gateway.workers.processes import (
    CALLED,
    CALLER_ENDS,
    GATEWAY_ENDS,
    SDP,
    Gateway,
    Phone,
    Registrar,
    Sipp,
    alive,
    gone,
)
from tests.integration.ports import free_port


@pytest.fixture
def sipp(tmp_path: Path) -> Sipp:
    return Sipp(tmp_path)


@pytest.fixture
async def gateway(nats_url: str, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Gateway]]]:
    """Starts a gateway; keyword arguments are settings."""
    started: list[Gateway] = []

    async def start(nats: str = nats_url, **settings: Any) -> Gateway:
        first = 40000 + 2 * secrets.randbelow(4000)
        section = {
            "sip_address": f"127.0.0.1:{free_port()}",
            "control_address": f"127.0.0.1:{free_port()}",
            "brain_address": "127.0.0.1:9",
            "rtp_ports": [first, first + 1999],
            "max_messages_per_source_s": 100_000,
            "workers": 3,
            **settings,
        }
        one = Gateway(tmp_path, {"nats_url": nats, "gateway": section})
        started.append(one)
        await one.start()
        return one

    yield start
    for one in started:
        await one.close()


@pytest.mark.parametrize("transport", ["u1", "t1", "tn"])
async def test_one_carriers_calls_spread_over_the_workers(gateway: Any, sipp: Sipp, transport: str) -> None:
    """t1: all calls on one connection."""
    served = await gateway()
    carrier = await sipp.start(CALLER_ENDS, served.sip, "-m", 60, "-r", 40, "-d", 5000, "-t", transport)
    calls = await served.until_calls(60)
    assert sorted(calls) == [0, 1, 2]
    assert min(calls.values()) >= 5
    assert await sipp.result(carrier) == {"successful": 60, "failed": 0}
    assert (await served.calls()).total() == 0


async def test_a_worker_that_dies_takes_only_its_calls(gateway: Any, sipp: Sipp) -> None:
    served = await gateway(max_calls=40)
    carrier = await sipp.start(CALLER_ENDS, served.sip, "-m", 40, "-r", 40, "-d", 6000)
    calls = await served.until_calls(40)
    os.kill(served.pids()[1], signal.SIGKILL)
    died = await served.wait_for("worker_died")
    assert (died["worker"], died["exit"]) == (1, "signal 9")
    assert (await served.wait_for("worker_calls_lost"))["calls"] == calls[1]
    # Its slots are free, and those who call at this moment notice nothing.
    rest = calls[1]
    assert await sipp(CALLER_ENDS, served.sip, "-m", rest, "-r", 40, "-d", 100) == {"successful": rest, "failed": 0}
    assert await served.health() == health_pb2.HealthCheckResponse.SERVING
    # The others' calls end as if nothing had been; those of the dead one are unknown.
    assert await sipp.result(carrier) == {"successful": 40 - calls[1], "failed": calls[1]}
    await served.wait_for("worker_ready", 4)
    carrier = await sipp.start(CALLER_ENDS, served.sip, "-m", 40, "-r", 40, "-d", 3000)
    assert sorted(await served.until_calls(40)) == [0, 1, 2]
    assert await sipp.result(carrier) == {"successful": 40, "failed": 0}


async def test_a_worker_that_hangs_is_ended(gateway: Any) -> None:
    served = await gateway(workers=2)
    stopped = served.pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    assert (await served.wait_for("worker_hangs", within_s=20))["pid"] == stopped
    await served.wait_for("worker_ready", 3)
    assert not alive(stopped)


async def test_max_calls_is_exact_over_all_workers(gateway: Any, sipp: Sipp) -> None:
    served = await gateway(max_calls=7)
    for _ in range(2):
        carrier = await sipp.start(CALLER_ENDS, served.sip, "-m", 25, "-r", 200, "-d", 1500)
        assert await sipp.result(carrier) == {"successful": 7, "failed": 18}
        await served.until_calls(0)


async def test_sigterm_says_goodbye_to_every_call(gateway: Any, sipp: Sipp) -> None:
    served = await gateway()
    carrier = await sipp.start(GATEWAY_ENDS, served.sip, "-m", 12, "-r", 50)
    assert len(await served.until_calls(12)) > 1
    pids = list(served.pids().values())
    served.process.terminate()
    assert await asyncio.wait_for(served.process.wait(), 5) == 0
    assert not any(alive(pid) for pid in pids)
    assert await sipp.result(carrier) == {"successful": 12, "failed": 0}
    assert not served.events("worker_died")


async def test_no_worker_outlives_the_front(gateway: Any) -> None:
    served = await gateway()
    served.process.kill()
    await gone(list(served.pids().values()), 6)


async def test_a_worker_that_cannot_start_refuses_the_start(gateway: Any) -> None:
    with pytest.raises(AssertionError, match=r"(?s)NATS.*worker \d did not start \(exit 2\)"):
        await gateway(nats="nats://127.0.0.1:9")


async def test_a_call_takes_over_another_workers(gateway: Any) -> None:
    """RFC 3891: the new INVITE's own Call-ID would lead elsewhere."""
    served = await gateway()
    for _ in range(6):
        old, new = Phone(served.sip), Phone(served.sip)
        await old.call()
        await new.call(f"Replaces: {old.call_id};to-tag={old.to_tag};from-tag={old.tag}\r\n")
        await old.hears("BYE ")
        new.send("BYE", 2)
        await new.hears("SIP/2.0 200")
        await served.until_calls(0)


async def test_what_operators_ask_is_answered_for_all_workers(gateway: Any, sipp: Sipp) -> None:
    served = await gateway()
    carrier = await sipp.start(GATEWAY_ENDS, served.sip, "-m", 9, "-r", 50)
    await served.until_calls(9)
    trunks = await served.stub.ListTrunks(pb.ListTrunksRequest())
    assert [(trunk.name, trunk.calls) for trunk in trunks.trunks] == [("local", 9)]
    newest = (await served.stub.Messages(pb.MessagesRequest())).messages
    assert newest[0].data.startswith(b"INVITE ")
    for call in (await served.stub.List(pb.ListRequest())).calls:
        messages = (await served.stub.Messages(pb.MessagesRequest(call_id=call.facts.call_id))).messages
        assert messages[0].data.startswith(b"INVITE ")
        assert messages[0].unix_us <= newest[0].unix_us
        watch = served.stub.Watch(pb.WatchRequest(call_id=call.facts.call_id))
        assert (await watch.read()).WhichOneof("event") == "watch_started"
        await served.stub.HangUp(pb.HangUpRequest(call_id=call.facts.call_id, reason="test"))
        assert (await watch.read()).ended.reason == "test"
    assert await sipp.result(carrier) == {"successful": 9, "failed": 0}
    with pytest.raises(grpc.aio.AioRpcError, match="no call 'none' lives on this gateway") as refused:
        await served.stub.HangUp(pb.HangUpRequest(call_id="none"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert any(key == "grpc-status-details-bin" for key, _ in refused.value.trailing_metadata())


async def test_calls_of_ours_come_back_to_the_worker_that_placed_them(gateway: Any, sipp: Sipp) -> None:
    port = free_port()
    served = await gateway(
        trunks=[
            {
                "name": "pbx",
                "allow": ["127.0.0.1"],
                "proxy": f"sip:127.0.0.1:{port}",
                "outbound": {"caller": "100", "destinations": ["/[0-9]+/"]},
            }
        ]
    )
    called = await sipp.start(CALLED, served.sip, "-m", 6, "-p", port)
    homes = set()
    for number in range(6):
        request = pb.OriginateRequest(trunk="pbx", to=f"20{number}", agent="front_desk")
        progress = [one async for one in served.stub.Originate(request)]
        assert progress[-1].WhichOneof("progress") == "answered", progress
        facts = progress[-1].answered
        homes.add(facts.control_address)
        await served.stub.HangUp(pb.HangUpRequest(call_id=facts.call_id))
    assert await sipp.result(called) == {"successful": 6, "failed": 0}
    assert [served.workers()[home] for home in homes] == [0]  # which counts the trunk's caps
    with pytest.raises(grpc.aio.AioRpcError, match="no trunk 'none'"):
        _ = [one async for one in served.stub.Originate(pb.OriginateRequest(trunk="none", to="1", agent="a"))]


async def test_one_tls_connection_reaches_all_workers(gateway: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    files = {"certificate": str(tmp_path / "certificate.pem"), "key": str(tmp_path / "key.pem")}
    port = free_port()
    served = await gateway(sip_tls_port=port, sip_tls={"certificates": [files]})
    context = ssl.create_default_context()
    authority.configure_trust(context)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    sdp = SDP.replace("  ", "").replace("[media_ip]", "127.0.0.1").replace("\n", "\r\n")
    calls = {secrets.token_hex(8): "" for _ in range(12)}

    def send(method: str, call_id: str, cseq: int, body: str = "") -> None:
        kind = "Content-Type: application/sdp\r\n" if body else ""
        writer.write(
            f"{method} sip:echo@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{call_id}{cseq}{method}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:phone@127.0.0.1>;tag=1\r\nTo: <sip:echo@127.0.0.1>{calls[call_id]}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:phone@127.0.0.1:9;transport=tls>\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    async def answers(status: int) -> None:
        """One of this status for each call."""
        left = set(calls)
        async with asyncio.timeout(10):
            while left:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(int(re.search(r"Content-Length: (\d+)", head)[1]))  # type: ignore[index]
                if head.startswith(f"SIP/2.0 {status} "):
                    call_id = re.search(r"Call-ID: (\S+)", head)[1]  # type: ignore[index]
                    calls[call_id] = re.search(r"\nTo: .*(;tag=\S+)", head)[1]  # type: ignore[index]
                    left.discard(call_id)

    for call_id in calls:
        send("INVITE", call_id, 1, sdp)
    await answers(200)
    for call_id in calls:
        send("ACK", call_id, 1)
    assert len(await served.until_calls(12)) > 1
    for call_id in calls:
        send("BYE", call_id, 2)
    await answers(200)
    await served.until_calls(0)
    writer.close()


def bindings(registrar: Registrar) -> set[str]:
    """Call-IDs of REGISTER: those of one binding are the same, and those of one sent twice too."""
    return {re.search(r"Call-ID: (\S+)", one)[1] for one in registrar.of("REGISTER")}  # type: ignore[index]


async def test_one_worker_registers_and_pings_for_all(gateway: Any) -> None:
    loop = asyncio.get_running_loop()
    transport, registrar = await loop.create_datagram_endpoint(Registrar, local_addr=("127.0.0.1", 0))
    register = {"registrar": f"sip:127.0.0.1:{registrar.port}", "user": "tandem"}
    trunk = {"name": "pbx", "allow": ["127.0.0.1"], "ping_s": 1, "register": register}
    served = await gateway(trunks=[trunk])
    # Each ping's Call-ID leads elsewhere two times of three: a lost answer would show as down.
    await registrar.until("OPTIONS", 5)
    (line,) = (await served.stub.ListTrunks(pb.ListTrunksRequest())).trunks
    assert (line.name, line.state) == ("pbx", pb.TRUNK_STATE_UP)
    assert len(bindings(registrar)) == 1
    os.kill(served.pids()[0], signal.SIGKILL)
    async with asyncio.timeout(15):
        while len(bindings(registrar)) < 2:
            await asyncio.sleep(0.05)
    served.process.terminate()
    assert await asyncio.wait_for(served.process.wait(), 5) == 0
    assert re.search(r"^Expires: 0\r$", registrar.of("REGISTER")[-1], re.M)
    assert len(bindings(registrar)) == 2
    transport.close()
