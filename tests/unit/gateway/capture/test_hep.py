"""HEP3 packets read back by an independent reader, chunk by chunk."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.capture.hep import HepExporter, hep3
from services.gateway.sip.transport import Flow, Transport

US = ("192.0.2.1", 5060)
PEER = ("198.51.100.7", 49152)
US_6, PEER_6 = ("2001:db8::1", 5061), ("2001:db8::2", 50000)


def chunks(packet):
    """{type: value} of a HEP3 packet, lengths checked."""
    magic, length = struct.unpack_from("!4sH", packet)
    assert (magic, length) == (b"HEP3", len(packet))
    found, at = {}, 6
    while at < length:
        vendor, kind, size = struct.unpack_from("!HHH", packet, at)
        assert vendor == 0
        assert size >= 6
        assert kind not in found
        found[kind] = packet[at + 6 : at + size]
        at += size
    assert at == length
    return found


def test_a_received_message_over_udp():
    packet = hep3(1_700_000_000_123_456, False, US, Flow(Transport.UDP, PEER), b"INVITE", agent_id=7)
    assert chunks(packet) == {
        1: b"\x02",
        2: b"\x11",
        3: bytes([198, 51, 100, 7]),
        4: bytes([192, 0, 2, 1]),
        7: struct.pack("!H", 49152),
        8: struct.pack("!H", 5060),
        9: struct.pack("!I", 1_700_000_000),
        10: struct.pack("!I", 123_456),
        11: b"\x01",
        12: struct.pack("!I", 7),
        15: b"INVITE",
    }


def test_a_sent_message_over_tls_and_ipv6_with_key_and_correlation():
    packet = hep3(0, True, US_6, Flow(Transport.TLS, PEER_6, 3), b"x", correlation_id=b"call@a", key=b"secret")
    found = chunks(packet)
    assert (found[1], found[2]) == (b"\x0a", b"\x06")
    assert found[5] == socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    assert found[6] == socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    assert 3 not in found
    assert (found[0x0E], found[0x11]) == (b"secret", b"call@a")


@pytest.mark.parametrize(
    ("local", "peer", "family", "source"),
    [
        (("::ffff:192.0.2.1", 1), ("::ffff:198.51.100.7", 2), 2, b"\xc6\x33\x64\x07"),
        (("::", 1), ("::ffff:198.51.100.7", 2), 10, b"\0" * 10 + b"\xff\xff\xc6\x33\x64\x07"),
        (("fe80::1%eth0", 1), ("fe80::2%eth0", 2), 10, socket.inet_pton(socket.AF_INET6, "fe80::2")),
    ],
)
def test_addresses_of_both_versions(local, peer, family, source):
    found = chunks(hep3(0, False, local, Flow(Transport.UDP, peer), b""))
    assert found[1] == bytes([family])
    assert found[3 if family == 2 else 5] == source


@given(st.binary(max_size=70000), st.binary(max_size=300), st.integers(0, 2**52))
def test_any_message_fits_into_a_datagram(data, correlation, unix_us):
    packet = hep3(unix_us, True, US, Flow(Transport.TCP, PEER), data, correlation_id=correlation)
    assert len(packet) <= 65507
    found = chunks(packet)
    assert data.startswith(found[15])
    assert len(found[15]) == len(data) or len(packet) == 65507


def test_the_exporter_sends_and_counts_what_it_can_not():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as homer:
        homer.bind(("127.0.0.1", 0))
        homer.settimeout(5)
        exporter = HepExporter(homer.getsockname(), agent_id=9, key="k")
        exporter.export(1, True, US, Flow(Transport.UDP, PEER), b"BYE", b"c")
        found = chunks(homer.recv(65535))
        assert (found[15], found[12], found[14], found[17]) == (b"BYE", struct.pack("!I", 9), b"k", b"c")
        exporter.export(1, True, ("no address", 1), Flow(Transport.UDP, PEER), b"BYE")
        assert (exporter.sent, exporter.dropped) == (1, 1)
        exporter.close()
        exporter.export(1, True, US, Flow(Transport.UDP, PEER), b"BYE")
        assert (exporter.sent, exporter.dropped) == (1, 2)


def test_a_collector_must_be_an_address():
    with pytest.raises(ValueError, match=r"homer\.test"):
        HepExporter(("homer.test", 9060))
