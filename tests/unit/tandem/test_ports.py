import socket

import pytest

from tandem.ports import Listener, PortTaken, check, free_port, is_free, split_address


@pytest.mark.parametrize(
    ("address", "expected"), [("127.0.0.1:5060", ("127.0.0.1", 5060)), ("[::1]:5060", ("::1", 5060))]
)
def test_split(address, expected):
    assert split_address(address) == expected


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_taken_port_is_told_with_its_setting(transport):
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if transport == "tcp":
            other.listen()
        port = other.getsockname()[1]
        assert not is_free("127.0.0.1", port, transport)
        with pytest.raises(PortTaken) as taken:
            check([Listener("SIP", "gateway.sip_address", "127.0.0.1", port, transport)])
    assert str(taken.value) == (
        f"{transport.upper()} port {port} on 127.0.0.1 is taken: SIP needs it; end what listens there, "
        "set `gateway.sip_address` to another, or use --ports auto"
    )
    assert is_free("127.0.0.1", port, transport)


def test_a_host_that_is_not_ours_is_told():
    with pytest.raises(PortTaken, match="cannot be listened on"):
        check([Listener("SIP", "gateway.sip_address", "192.0.2.1", 5060, "udp")])


def test_free_ports_differ_from_those_to_avoid():
    first = free_port()
    assert free_port("udp", avoid=frozenset({first})) != first
