"""Name servers that do not answer: a look-up ends in its time. Real time, hence not among the unit tests."""

import asyncio
import socket
import time

import dns.message
import pytest

from services.gateway.resolver import STEP_S, WHOLE_S, Resolver
from services.gateway.sip.targets import NoTarget
from services.gateway.sip.transport import Transport

LOCAL = {Transport.UDP: (4,)}


async def test_a_mute_name_server_costs_no_more_than_the_whole(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        resolver = Resolver(LOCAL, nameservers=[mute.getsockname()], hosts=tmp_path / "none")
        began = time.monotonic()
        with pytest.raises(NoTarget, match=r"did not answer carrier\.test NAPTR in time"):
            await resolver.targets("sip:carrier.test")
        assert time.monotonic() - began < WHOLE_S + 0.5
        await resolver.close()


async def test_one_that_knows_addresses_alone_is_enough(tmp_path):
    class AddressesAlone(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            query = dns.message.from_wire(data)
            if query.question[0].rdtype == dns.rdatatype.A:
                reply = dns.message.make_response(query)
                reply.answer.append(dns.rrset.from_text("carrier.test.", 60, "IN", "A", "127.0.0.7"))
                self.transport.sendto(reply.to_wire(), addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(AddressesAlone, ("127.0.0.1", 0))
    resolver = Resolver(LOCAL, nameservers=[transport.get_extra_info("sockname")], hosts=tmp_path / "none")
    began = time.monotonic()
    (target,) = await resolver.targets("sip:carrier.test")
    assert target.flow.address == ("127.0.0.7", 5060)
    assert time.monotonic() - began < 2 * STEP_S + 0.3
    await resolver.close()
    transport.close()


async def test_the_systems_own_look_up_knows_this_machine(tmp_path):
    resolver = Resolver(LOCAL, hosts=tmp_path / "none")
    resolver._dns = None  # as in a container without /etc/resolv.conf
    (target, *_) = await resolver.targets("sip:localhost:5060")
    assert target.flow.address == ("127.0.0.1", 5060)
    await resolver.close()
