"""The resolver against a small name server on loopback."""

import asyncio
from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from services.gateway.resolver import HostsFile, Resolver
from services.gateway.sip.targets import NoTarget
from services.gateway.sip.transport import Transport

LOCAL = {Transport.UDP: (4,), Transport.TCP: (4,)}
ZONE = {
    ("carrier.test.", "NAPTR"): [
        '10 10 "s" "SIP+D2T" "" _sip._tcp.carrier.test.',
        '10 20 "s" "SIP+D2U" "" _sip._udp.carrier.test.',
    ],
    ("_sip._tcp.carrier.test.", "SRV"): ["0 1 5070 one.carrier.test."],
    ("_sip._udp.carrier.test.", "SRV"): ["0 1 5060 alias.carrier.test."],
    ("one.carrier.test.", "A"): ["127.0.0.2"],
    ("alias.carrier.test.", "CNAME"): ["one.carrier.test."],
    ("loop.test.", "CNAME"): ["loop.test."],
    ("plain.test.", "A"): ["127.0.0.3", "127.0.0.4"],
    ("plain.test.", "AAAA"): ["::1"],
}


class NameServer(asyncio.DatagramProtocol):
    """Answers from `zone`; `mute` names are not answered at all, `refuse` answers everything with SERVFAIL."""

    def __init__(self):
        self.zone = dict(ZONE)
        self.ttl_s = 300
        self.mute = set()
        self.refuse = False
        self.asked = Counter()

    def connection_made(self, transport):
        self.transport = transport
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[f"{name} {kind}"] += 1
        if name in self.mute:
            return
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if self.refuse:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif not self._answer(reply, name, kind) and not any(known == name for known, _ in self.zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(reply.to_wire(), addr)

    def _answer(self, reply, name, kind):
        for _ in range(8):
            if (name, kind) in self.zone:
                reply.answer.append(dns.rrset.from_text(name, self.ttl_s, "IN", kind, *self.zone[name, kind]))
                return True
            alias = self.zone.get((name, "CNAME"))
            if alias is None:
                return False
            if not reply.answer:
                reply.answer.append(dns.rrset.from_text(name, self.ttl_s, "IN", "CNAME", *alias))
            name = alias[0]
        return True


@pytest.fixture
async def server():
    transport, one = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    yield one
    transport.close()


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def resolver(server, clock, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost pbx # ours\n::1 localhost\nnonsense here\n\n127.0.0.9 other.test\n")
    one = Resolver(LOCAL, nameservers=[server.address], hosts=hosts, draw=lambda most: 0, clock=clock)
    yield one
    await one.close()


async def told(resolver, uri):
    return [f"{one.flow.transport} {one.flow.address[0]} {one.flow.address[1]}" for one in await resolver.targets(uri)]


async def test_naptr_srv_cname_and_address(resolver):
    assert await told(resolver, "sip:carrier.test") == ["TCP 127.0.0.2 5070", "UDP 127.0.0.2 5060"]


async def test_a_host_without_service_records(resolver):
    # The name server shuffles.
    assert sorted(await told(resolver, "sip:plain.test")) == ["UDP 127.0.0.3 5060", "UDP 127.0.0.4 5060"]


async def test_numbers_ask_nobody(resolver, server):
    assert await told(resolver, "sip:192.0.2.1") == ["UDP 192.0.2.1 5060"]
    assert not server.asked


@pytest.mark.parametrize("uri", ["sip:localhost", "sip:a@PBX", "sip:localhost;transport=udp", "sip:pbx:5060"])
async def test_the_hosts_file_comes_before_the_dns(resolver, server, uri):
    assert await told(resolver, uri) == ["UDP 127.0.0.1 5060"]
    assert not server.asked


async def test_answers_are_kept_for_their_time(resolver, server, clock):
    for _ in range(3):
        await resolver.targets("sip:plain.test:5060")
    assert server.asked == {"plain.test. A": 1}
    clock.now += 301
    await resolver.targets("sip:plain.test:5060")
    assert server.asked == {"plain.test. A": 2}


@pytest.mark.parametrize(("ttl_s", "kept_s"), [(0, 5), (7, 7), (10**6, 3600)])
async def test_the_time_has_bounds(resolver, server, clock, ttl_s, kept_s):
    server.ttl_s = ttl_s
    await resolver.targets("sip:plain.test:5060")
    clock.now += kept_s - 0.5
    await resolver.targets("sip:plain.test:5060")
    assert server.asked["plain.test. A"] == 1
    clock.now += 1
    await resolver.targets("sip:plain.test:5060")
    assert server.asked["plain.test. A"] == 2


async def test_what_is_not_there_is_asked_again_soon(resolver, server, clock):
    for _ in range(2):
        with pytest.raises(NoTarget, match=r"^sip:new.test: no A record found for new.test$"):
            await resolver.targets("sip:new.test")
    assert max(server.asked.values()) == 1
    server.zone["new.test.", "A"] = ["127.0.0.8"]
    clock.now += 10.5
    assert await told(resolver, "sip:new.test") == ["UDP 127.0.0.8 5060"]


async def test_the_same_question_goes_out_once(resolver, server):
    found = await asyncio.gather(*(told(resolver, "sip:carrier.test") for _ in range(50)))
    assert all(one == found[0] for one in found)
    assert max(server.asked.values()) == 1


async def test_old_answers_serve_while_the_dns_is_down(resolver, server, clock):
    await resolver.targets("sip:carrier.test")
    clock.now += 4000
    server.refuse = True
    assert await told(resolver, "sip:carrier.test") == ["TCP 127.0.0.2 5070", "UDP 127.0.0.2 5060"]
    clock.now += 25 * 3600
    with pytest.raises(NoTarget):
        await resolver.targets("sip:carrier.test")


async def test_a_refusal_is_told(resolver, server):
    server.refuse = True
    with pytest.raises(NoTarget, match=r"no A record found for plain.test; plain.test A: .*SERVFAIL"):
        await resolver.targets("sip:plain.test:5060")


@pytest.mark.parametrize("uri", ["sip:loop.test:5060", f"sip:{'a' * 64}.test:1", f"sip:{'a.' * 200}test", "sip:a..b:1"])
async def test_absurd_names_lead_nowhere(resolver, uri):
    with pytest.raises(NoTarget):
        await resolver.targets(uri)


def test_the_hosts_file_is_read_again_when_it_changes(tmp_path):
    path = tmp_path / "hosts"
    hosts = HostsFile(path)
    assert hosts.addresses("a") == []
    path.write_text("127.0.0.1 a b\n")
    assert hosts.addresses("A.") == ["127.0.0.1"]
    path.write_text("127.0.0.1 b\n::1 a\n")
    assert hosts.addresses("a") == ["::1"]


async def test_no_name_server_and_no_hosts_file(tmp_path):
    resolver = Resolver(LOCAL, nameservers=[], hosts=tmp_path / "none")
    with pytest.raises(NoTarget):
        await resolver.targets("sip:plain.test:5060")
    await resolver.close()
