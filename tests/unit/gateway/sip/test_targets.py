"""RFC 3263: a URI and a zone give targets in order. Each row of the tables is one look-up against a zone in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.outages import HOLD_S, LONGEST_S, MAX_KNOWN, Outages
from services.gateway.sip.targets import (
    MAX_SERVERS,
    MAX_TARGETS,
    IpAddress,
    Naptr,
    NoTarget,
    Question,
    RecordType,
    Srv,
    Target,
    by_weight,
    look_up,
)
from services.gateway.sip.transport import Flow, Transport

ALL = {Transport.UDP: (4,), Transport.TCP: (4,), Transport.TLS: (4,)}

# The example of RFC 3263 §4.1 and what hangs on it.
CARRIER = {
    "carrier.test NAPTR": [
        Naptr(50, 50, "s", "SIPS+D2T", "", "_sips._tcp.carrier.test."),
        Naptr(90, 50, "s", "SIP+D2T", "", "_sip._tcp.carrier.test."),
        Naptr(100, 50, "s", "SIP+D2U", "", "_sip._udp.carrier.test."),
    ],
    "_sips._tcp.carrier.test SRV": [Srv(0, 1, 5061, "tls.carrier.test.")],
    "_sip._tcp.carrier.test SRV": [Srv(0, 1, 5060, "one.carrier.test."), Srv(1, 1, 5062, "two.carrier.test.")],
    "_sip._udp.carrier.test SRV": [Srv(1, 1, 5070, "two.carrier.test."), Srv(0, 1, 5060, "one.carrier.test.")],
    "tls.carrier.test A": [IpAddress("192.0.2.9")],
    "one.carrier.test A": [IpAddress("192.0.2.1")],
    "one.carrier.test AAAA": [IpAddress("2001:db8::1")],
    "two.carrier.test A": [IpAddress("192.0.2.2")],
    "carrier.test A": [IpAddress("192.0.2.80")],
}
ONLY_SRV = {
    "_sip._udp.srv.test SRV": [Srv(0, 1, 5060, "one.srv.test")],
    "_sip._tcp.srv.test SRV": [Srv(0, 1, 5066, "one.srv.test")],
    "one.srv.test A": [IpAddress("192.0.2.3")],
}
ONLY_A = {"host.test A": [IpAddress("192.0.2.4"), IpAddress("192.0.2.5")], "host.test AAAA": [IpAddress("2001:db8::4")]}
GONE = {"_sip._udp.gone.test SRV": [Srv(0, 0, 0, ".")], "gone.test A": [IpAddress("192.0.2.6")]}
ZONE = CARRIER | ONLY_SRV | ONLY_A | GONE


def ask(uri, local=ALL, zone=ZONE, draw=lambda most: 0):
    """Targets and the questions that were asked, in steps."""
    steps = []
    lookup = look_up(uri, local, draw)
    try:
        questions = next(lookup)
        for _ in range(10):
            steps.append([str(one) for one in questions])
            questions = lookup.send({one: zone.get(str(one), ()) for one in questions})
    except StopIteration as found:
        return found.value, steps
    raise AssertionError("a look-up that does not end")


def told(targets):
    return [f"{one.flow.transport} {one.flow.address[0]} {one.flow.address[1]}" for one in targets]


@pytest.mark.parametrize(
    ("uri", "local", "expected"),
    [
        # §4.1, §4.2: a numeric host is asked nobody about
        ("sip:192.0.2.1", ALL, ["UDP 192.0.2.1 5060"]),
        ("sip:+49@192.0.2.1:5070;transport=tcp", ALL, ["TCP 192.0.2.1 5070"]),
        ("sips:192.0.2.1", ALL, ["TLS 192.0.2.1 5061"]),
        ("sip:192.0.2.1;transport=tls", ALL, ["TLS 192.0.2.1 5061"]),
        ("sip:[2001:db8::7]:5099", {Transport.UDP: (6,)}, ["UDP 2001:db8::7 5099"]),
        ("sip:a@carrier.test;maddr=192.0.2.77", ALL, ["UDP 192.0.2.77 5060"]),
        ("sip:a@carrier.test;maddr=[2001:db8::8]", {Transport.UDP: (4, 6)}, ["UDP 2001:db8::8 5060"]),
        # a port: the name is a host
        ("sip:host.test:5080", ALL, ["UDP 192.0.2.4 5080", "UDP 192.0.2.5 5080"]),
        ("sips:host.test:5080", ALL, ["TLS 192.0.2.4 5080", "TLS 192.0.2.5 5080"]),
        ("sip:host.test:5080;transport=TCP", ALL, ["TCP 192.0.2.4 5080", "TCP 192.0.2.5 5080"]),
        # both IP versions, in our order
        ("sip:host.test:1", {Transport.UDP: (6, 4)}, ["UDP 2001:db8::4 1", "UDP 192.0.2.4 1", "UDP 192.0.2.5 1"]),
        ("sip:host.test:1", {Transport.UDP: (6,)}, ["UDP 2001:db8::4 1"]),
        # transport but no port: SRV, else the host at the default port
        ("sip:carrier.test;transport=udp", ALL, ["UDP 192.0.2.1 5060", "UDP 192.0.2.2 5070"]),
        ("sip:carrier.test;transport=tls", ALL, ["TLS 192.0.2.9 5061"]),
        ("sips:carrier.test;transport=tcp", ALL, ["TLS 192.0.2.9 5061"]),
        ("sip:host.test;transport=tls", ALL, ["TLS 192.0.2.4 5061", "TLS 192.0.2.5 5061"]),
        # neither: NAPTR says which transport the domain likes best, of those that we have
        ("sip:carrier.test", ALL, ["TLS 192.0.2.9 5061"]),
        ("sip:carrier.test", {Transport.UDP: (4,), Transport.TCP: (4,)}, ["TCP 192.0.2.1 5060", "TCP 192.0.2.2 5062"]),
        ("sip:carrier.test", {Transport.UDP: (4, 6)},
         ["UDP 192.0.2.1 5060", "UDP 2001:db8::1 5060", "UDP 192.0.2.2 5070"]),
        ("sips:carrier.test", ALL, ["TLS 192.0.2.9 5061"]),
        # no NAPTR: SRV of each transport, ours in our order
        ("sip:srv.test", ALL, ["UDP 192.0.2.3 5060", "TCP 192.0.2.3 5066"]),
        ("sip:srv.test", {Transport.TCP: (4,), Transport.UDP: (4,)}, ["TCP 192.0.2.3 5066", "UDP 192.0.2.3 5060"]),
        # no SRV either: the host itself
        ("sip:host.test", ALL, ["UDP 192.0.2.4 5060", "UDP 192.0.2.5 5060"]),
        ("sip:host.test", {Transport.TCP: (4,)}, ["TCP 192.0.2.4 5060", "TCP 192.0.2.5 5060"]),
        ("sips:host.test", ALL, ["TLS 192.0.2.4 5061", "TLS 192.0.2.5 5061"]),
    ],
)  # fmt: skip
def test_where_a_uri_leads(uri, local, expected):
    assert told(ask(uri, local)[0]) == expected


@pytest.mark.parametrize(
    ("uri", "steps"),
    [
        ("sip:192.0.2.1", []),
        ("sip:host.test:5080", [["host.test A"]]),
        ("sip:srv.test;transport=tcp", [["_sip._tcp.srv.test SRV"], ["one.srv.test A"]]),
        ("sip:srv.test",
         [["srv.test NAPTR"], ["_sip._udp.srv.test SRV", "_sip._tcp.srv.test SRV", "_sips._tcp.srv.test SRV"],
          ["one.srv.test A"]]),
        ("sips:host.test", [["host.test NAPTR"], ["_sips._tcp.host.test SRV"], ["host.test A"]]),
    ],
)  # fmt: skip
def test_what_is_asked_and_when(uri, steps):
    assert ask(uri)[1] == steps


@pytest.mark.parametrize(
    ("uri", "local", "why"),
    [
        ("sip:", ALL, "bad host"),
        ("tel:+49301234567", ALL, "not a SIP URI"),
        ("sip:host.test;transport=sctp", ALL, "'sctp' is not supported"),
        ("sips:host.test;transport=udp", ALL, "none over UDP"),
        ("sip:host.test;transport=tls", {Transport.UDP: (4,)}, "wants TLS, and nothing here speaks it"),
        ("sips:host.test", {Transport.UDP: (4,)}, "nothing here speaks TLS"),
        ("sip:host.test", {}, "nothing here speaks SIP"),
        ("sip:192.0.2.1", {Transport.TCP: (4,)}, "wants UDP"),
        ("sip:[2001:db8::1]", ALL, "UDP is spoken here over IPv4 alone"),
        ("sip:nowhere.test", ALL, "no A record found for nowhere.test"),
        ("sip:nowhere.test", {Transport.UDP: (6, 4)}, "no A or AAAA record"),
        ("sip:gone.test;transport=udp", ALL, "has no SIP service"),  # RFC 2782: and its A record is not tried
        ("sip:0.0.0.0", ALL, "can't be sent to"),
        ("sip:a@host.test;maddr=%20", ALL, "bad host"),
    ],
)
def test_what_leads_nowhere_is_explained(uri, local, why):
    with pytest.raises(NoTarget, match=why):
        ask(uri, local)


def test_the_certificate_must_name_the_uris_host():
    targets, _ = ask("sips:carrier.test")
    assert [one.server_name for one in targets] == ["carrier.test"]


def test_naptr_of_a_higher_order_and_of_foreign_kinds_is_not_used():
    zone = {
        "x.test NAPTR": [
            Naptr(1, 1, "u", "E2U+sip", "!^.*$!sip:info@x.test!", "."),
            Naptr(1, 2, "s", "SIP+D2S", "", "_sip._sctp.x.test"),
            Naptr(2, 9, "S", "sip+d2t", "", "b.x.test"),
            Naptr(2, 1, "s", "SIP+D2U", "", "a.x.test"),
            Naptr(3, 1, "s", "SIPS+D2T", "", "c.x.test"),
        ],
        "a.x.test SRV": [Srv(0, 0, 1, "h.test")],
        "b.x.test SRV": [Srv(0, 0, 2, "h.test")],
        "c.x.test SRV": [Srv(0, 0, 3, "h.test")],
        "h.test A": [IpAddress("192.0.2.1")],
    }
    assert told(ask("sip:x.test", zone=zone)[0]) == ["UDP 192.0.2.1 1", "TCP 192.0.2.1 2"]


def test_naptr_that_leads_to_no_srv_is_as_none():
    zone = {"srv.test NAPTR": [Naptr(1, 1, "s", "SIP+D2U", "", "_sip._udp.elsewhere.test")], **ONLY_SRV}
    assert told(ask("sip:srv.test", zone=zone)[0])[0] == "UDP 192.0.2.3 5060"


def test_each_server_is_tried_once_and_absurd_addresses_never():
    zone = {
        "_sip._udp.x.test SRV": [Srv(0, 0, 5060, "a.test"), Srv(1, 0, 5060, "b.test"), Srv(2, 0, 70000, "c.test")],
        "a.test A": [IpAddress(one) for one in ("192.0.2.1", "0.0.0.0", "239.1.1.1", "2001:db8::1", "x")],
        "b.test A": [IpAddress("192.0.2.1"), IpAddress("192.0.2.2")],
    }
    assert told(ask("sip:x.test;transport=udp", zone=zone)[0]) == ["UDP 192.0.2.1 5060", "UDP 192.0.2.2 5060"]


def test_a_zone_as_long_as_it_likes_gives_a_short_list():
    zone = {"_sip._udp.x.test SRV": [Srv(0, 1, 5060, f"h{n}.test") for n in range(500)]}
    zone |= {f"h{n}.test A": [IpAddress(f"192.0.{n % 250}.{m}") for m in range(1, 200)] for n in range(500)}
    targets, steps = ask("sip:x.test;transport=udp", zone=zone)
    assert len(targets) == MAX_TARGETS
    assert len(steps[-1]) == MAX_SERVERS


@pytest.mark.parametrize(
    ("lots", "expected"),
    [
        # RFC 2782: running sums 0, 1, 4 for the weights 0, 1, 3 of priority 0
        ([0, 0, 0], "zcab"),
        ([1, 0, 0], "czab"),
        ([2, 0, 0], "azcb"),
        ([4, 1, 0], "aczb"),
    ],
)
def test_lots_are_drawn_by_weight_within_a_priority(lots, expected):
    records = [Srv(1, 100, 1, "b"), Srv(0, 3, 1, "a"), Srv(0, 1, 1, "c"), Srv(0, 0, 1, "z")]
    drawn = iter(lots)
    ordered = by_weight(records, lambda most: min(most, next(drawn, 0)))
    assert "".join(one.target for one in ordered) == expected


@given(
    st.lists(st.builds(Srv, st.integers(0, 3), st.integers(0, 65535), st.just(1), st.sampled_from("abcdef"))),
    st.randoms(use_true_random=False),
)
def test_any_lot_keeps_all_records_and_their_priorities(records, random):
    ordered = by_weight(records, lambda most: random.randint(0, most))
    key = lambda one: (one.priority, one.weight, one.target)  # noqa: E731
    assert sorted(ordered, key=key) == sorted(records, key=key)
    assert [one.priority for one in ordered] == sorted(one.priority for one in records)


RECORDS = st.one_of(
    st.builds(IpAddress, st.sampled_from(["192.0.2.1", "2001:db8::1", "", "x", "255.255.255.255"])),
    st.builds(Srv, st.integers(0, 9), st.integers(0, 9), st.integers(0, 65535), st.sampled_from(["a.test.", ".", ""])),
    st.builds(
        Naptr, st.integers(0, 3), st.integers(0, 3), st.sampled_from("sSua"),
        st.sampled_from(["SIP+D2U", "SIPS+D2T", "", "sip"]), st.sampled_from(["", "!x!y!"]),
        st.sampled_from(["_sip._udp.x.test", ".", "x.test"]),
    ),
)  # fmt: skip


@given(
    st.sampled_from(["sip:x.test", "sips:x.test", "sip:x.test;transport=udp", "sip:x.test:9", "sip:x.test;maddr=y"]),
    st.lists(st.lists(RECORDS, max_size=6), min_size=1, max_size=20),
)
def test_whatever_the_dns_says_it_ends_in_targets_or_notarget(uri, answers):
    lookup = look_up(uri, {Transport.UDP: (4, 6), Transport.TLS: (4,)}, lambda most: most // 2)
    pile = iter(answers * 20)
    ended = None
    try:
        questions = next(lookup)
        for _ in range(4):
            assert 0 < len(questions) <= 2 * MAX_SERVERS
            questions = lookup.send({one: next(pile) for one in questions})
    except (StopIteration, NoTarget) as end:
        ended = end
    assert ended is not None
    assert isinstance(ended, NoTarget) or 0 < len(ended.value) <= MAX_TARGETS


def test_records_of_another_type_are_overlooked():
    zone = {"host.test A": [Srv(0, 0, 1, "x"), IpAddress("192.0.2.1")], "host.test NAPTR": [IpAddress("192.0.2.2")]}
    assert told(ask("sip:host.test", zone=zone)[0]) == ["UDP 192.0.2.1 5060"]
    assert str(Question("a", RecordType.AAAA)) == "a AAAA"


def target(last, transport=Transport.UDP):
    return Target(Flow(transport, (f"192.0.2.{last}", 5060)), "x.test")


def test_what_failed_goes_last_and_comes_back():
    outages = Outages()
    one, two, three = target(1), target(2), target(3)
    outages.failed(one, now=0)
    outages.failed(two, now=0, retry_after_s=5)
    assert outages.in_order([one, two, three], 1) == [three, two, one]
    assert outages.in_order([one, two, three], 6) == [two, three, one]
    outages.answered(one)
    assert outages.in_order([one, two, three], 6) == [one, two, three]
    assert outages.in_order([target(2, Transport.TCP)], 1) == [target(2, Transport.TCP)]


def test_all_out_is_all_tried():
    outages = Outages()
    for last in (1, 2):
        outages.failed(target(last), now=last)
    assert outages.in_order([target(2), target(1)], 3) == [target(1), target(2)]


def test_no_retry_after_holds_for_long():
    outages = Outages()
    outages.failed(target(1), now=0, retry_after_s=1e9)
    outages.failed(target(2), now=0, retry_after_s=-5)
    assert outages.out(target(1), LONGEST_S - 1)
    assert not outages.out(target(1), LONGEST_S)
    assert not outages.out(target(2), 0)


def test_outages_are_bounded_and_forget_the_oldest():
    outages = Outages()
    for n in range(MAX_KNOWN + 10):
        outages.failed(Target(Flow(Transport.UDP, ("192.0.2.1", n)), "x"), now=n / 1e6)
    assert len(outages) == MAX_KNOWN
    outages.failed(target(9), now=HOLD_S * 2)
    assert len(outages) == 1
