"""Calls through Kamailio, which records its route: a carrier's or PBX's proxy, not written by us."""

import re

import pytest

from tandem.v1 import brain_pb2
from tandem.v1 import gateway_pb2 as pb
from tests.integration.gateway.peers.kamailio import EXTENSION, PASSWORD
from tests.integration.gateway.peers.ports import COLLEAGUE, GATEWAY, PHONE, PROXY
from tests.integration.ports import free_port


def behind(**trunk) -> dict:
    """Settings of a gateway that hears nobody but the proxy."""
    return {
        "sip_address": f"{GATEWAY}:{free_port(GATEWAY)}",
        "trunks": [{"name": "pbx", "allow": [f"{PROXY}/32"], **trunk}],
    }


def routes(message: str) -> list[str]:
    return re.findall(r"^Route:\s*(.*?)\s*$", message, re.M | re.I)


@pytest.mark.parametrize(("to_proxy", "to_gateway"), [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")])
async def test_a_call_keeps_the_recorded_route(
    brain, kamailio, gateway, phones, control, say, sounds, to_proxy, to_gateway
) -> None:
    running = await gateway(**behind())
    proxy = await kamailio(gateway=f"sip:{running.settings.sip_address};transport={to_gateway}")
    await proxy.says("^up ")  # its OPTIONS was answered
    phone = await phones(PHONE, "ada")
    await phone.call(proxy.uri("front_desk", to_proxy))
    talk = await brain.conversation()
    assert talk.facts.caller_number == "ada"

    await say(talk, 700)
    await phone.hold()
    assert (await talk.wait_for("hold_changed")).hold_changed.on_hold
    await phone.resume()
    assert not (await talk.wait_for("hold_changed", 2)).hold_changed.on_hold
    await proxy.says(f"loose INVITE from {to_proxy}:", 2)

    talk.command(hang_up=brain_pb2.HangUpCall(reason="said goodbye"))
    await phone.event("CALL_CLOSED")
    assert (await talk.wait_for("hung_up")).hung_up.reason == "said goodbye"
    assert not proxy.said("lost")
    await proxy.says(f"loose BYE from {to_gateway}:{GATEWAY}")
    (bye,) = [one for one in await control(running).sip() if re.match(r"> \w+ BYE ", one)]
    assert len(routes(bye)) == (1 if to_proxy == to_gateway else 2)
    assert sounds.pitch((await phone.heard()).strip(b"\0")) == pytest.approx(700, abs=10)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_who_gives_up_while_it_rings(kamailio, gateway, phones, control, transport) -> None:
    running = await gateway(**behind(routes=[{"called": "front_desk", "agent": "front_desk", "ring_s": 30}]))
    proxy = await kamailio(gateway=f"sip:{running.settings.sip_address};transport={transport}")
    await proxy.says("^up ")
    phone = await phones(PHONE, "ada")
    await phone.command("dial", proxy.uri("front_desk", transport))
    await phone.event("CALL_RINGING")
    await phone.command("hangup")
    ladder = await control(running).ladder_ends("< ACK")
    assert [one for one in ladder if one.startswith("<")] == ["< INVITE", "< CANCEL", "< ACK"]
    assert ladder[-2] == "> 487"
    assert not await control(running).calls()


def registering(proxy) -> dict:
    """Settings of a gateway that is an extension of the proxy."""
    return behind(
        register={"registrar": f"sip:{proxy.host}:{proxy.port}", "user": EXTENSION},
        credentials={"username": EXTENSION, "password": PASSWORD},
        outbound={"caller": EXTENSION, "destinations": ["bob"]},
        routes=[{"called": EXTENSION, "agent": "front_desk"}],
    )


async def test_an_extension_is_called_where_it_registered(brain, kamailio, gateway, phones, control) -> None:
    proxy = await kamailio(gateway=f"sip:{GATEWAY}:9")
    running = await gateway(**registering(proxy))
    await proxy.says(f"^registered {EXTENSION} ")
    phone = await phones(PHONE, "ada")
    await phone.call(proxy.uri(EXTENSION))
    talk = await brain.conversation()
    assert (talk.facts.caller_number, talk.facts.called_number) == ("ada", EXTENSION)
    assert (await control(running).trunk()).state == pb.TRUNK_STATE_UP
    await phone.command("hangup")
    assert (await talk.wait_for("hung_up")).hung_up.by_caller
    await running.close()
    await proxy.says(f"unregistered {EXTENSION} ")


async def test_a_call_out(brain, kamailio, gateway, phones, control, say, sounds) -> None:
    """The proxy asks for the password, and finds the telephone, which registered there too."""
    proxy = await kamailio(gateway=f"sip:{GATEWAY}:9")
    running = await gateway(**registering(proxy))
    await proxy.says(f"^registered {EXTENSION} ")
    account = f";auth_pass={PASSWORD};regint=60;answermode=auto"
    phone = await phones(COLLEAGUE, "bob", account, domain=f"{proxy.host}:{proxy.port}")
    await proxy.says("^registered bob ")
    told = await control(running).originate("pbx", "bob")
    assert told.answered.called_number == "bob", told
    talk = await brain.conversation()
    await say(talk, 700)
    await phone.hold()
    assert (await talk.wait_for("hold_changed")).hold_changed.on_hold
    await phone.command("hangup")
    assert (await talk.wait_for("hung_up")).hung_up.by_caller
    await proxy.says("loose ACK from udp:127.0.0.1:")
    await proxy.says("loose BYE from udp:127.0.0.4:")
    assert not proxy.said("lost")
    assert sounds.pitch((await phone.heard()).strip(b"\0")) == pytest.approx(700, abs=10)


async def test_a_call_out_is_cancelled(kamailio, gateway, phones, control) -> None:
    proxy = await kamailio(gateway=f"sip:{GATEWAY}:9")
    running = await gateway(**registering(proxy))
    await proxy.says(f"^registered {EXTENSION} ")
    phone = await phones(COLLEAGUE, "bob", f";auth_pass={PASSWORD};regint=60", domain=f"{proxy.host}:{proxy.port}")
    await proxy.says("^registered bob ")
    stream = control(running).stub.Originate(pb.OriginateRequest(trunk="pbx", to="bob", agent="front_desk"))
    async for one in stream:
        if one.WhichOneof("progress") == "ringing":
            break
    await phone.event("CALL_INCOMING")
    stream.cancel()
    await phone.event("CALL_CLOSED")
    await proxy.says("CANCEL from udp:127.0.0.1")
    await proxy.says("reply 487 to INVITE")


async def test_we_transfer_through_it(brain, kamailio, gateway, phones, control) -> None:
    """REFER and each NOTIFY take the recorded route; the telephone finds its new partner at the proxy."""
    proxy = await kamailio(gateway=f"sip:{GATEWAY}:9")
    running = await gateway(**registering(proxy))
    await proxy.says(f"^registered {EXTENSION} ")
    account = f";auth_pass={PASSWORD};regint=60;answermode=auto"
    colleague = await phones(COLLEAGUE, "bob", account, domain=f"{proxy.host}:{proxy.port}")
    await proxy.says("^registered bob ")
    phone = await phones(PHONE, "ada")
    await phone.call(proxy.uri(EXTENSION))
    talk = await brain.conversation()
    answered = colleague.event("CALL_ESTABLISHED")
    told = await control(running).refer(talk.facts.call_id, proxy.uri("bob"), answered)
    assert (told[0], told[-1]) == (202, 200)
    await proxy.says(f"loose REFER from udp:{GATEWAY}")
    await proxy.says(f"loose NOTIFY from udp:{PHONE}", 2)


async def test_no_calls_to_a_gateway_that_is_gone(kamailio, gateway, phones) -> None:
    running = await gateway(**behind())
    proxy = await kamailio(gateway=f"sip:{running.settings.sip_address}")
    await proxy.says("^up ")
    await running.close()
    await proxy.says("^down ")
    phone = await phones(PHONE, "ada")
    await phone.command("dial", proxy.uri("front_desk"))
    assert (await phone.event("CALL_CLOSED"))["param"].startswith("503")
