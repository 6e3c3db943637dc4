"""From the source of a message to its trunk."""

from typing import Any

import pytest

from services.gateway.access import Trunks
from services.gateway.settings import GatewaySettings


def trunks(*settings: dict[str, Any]) -> Trunks:
    return Trunks(GatewaySettings(trunks=list(settings)))


def name(found: Trunks, source: str) -> str | None:
    trunk = found.of(source)
    return trunk.name if trunk else None


OVERLAPPING = trunks(
    {"name": "wide", "allow": ["192.0.2.0/24", "2001:db8::/32"]},
    {"name": "narrow", "allow": ["192.0.2.128/25", "2001:db8:1::/48"]},
    {"name": "one", "allow": ["192.0.2.130"]},
)


@pytest.mark.parametrize(
    ("source", "trunk"),
    [
        ("192.0.2.1", "wide"),
        ("192.0.2.129", "narrow"),
        ("192.0.2.130", "one"),
        ("::ffff:192.0.2.130", "one"),
        ("2001:db8:2::1", "wide"),
        ("2001:db8:1::1", "narrow"),
        ("2001:db8:1::1%eth0", "narrow"),
        ("192.0.3.1", None),
        ("127.0.0.1", None),
        ("no address", None),
    ],
)
def test_the_most_specific_network_decides(source: str, trunk: str | None) -> None:
    assert name(OVERLAPPING, source) == trunk


def test_without_trunks_this_machine_is_one_that_is_not_believed() -> None:
    found = trunks()
    assert [one.name for one in found] == ["local"]
    assert [name(found, source) for source in ("127.0.0.1", "127.3.2.1", "::1", "203.0.113.9")] == [
        "local",
        "local",
        "local",
        None,
    ]
    local = found.named("local")
    assert local is not None
    assert not local.settings.trust_identity
    assert (local.codec_names, local.numbers) == (("OPUS", "G722", "PCMU", "PCMA"), None)


def test_strangers_are_counted_and_a_scan_fills_no_memory() -> None:
    found = trunks({"name": "a", "allow": ["192.0.2.0/24"]})
    for index in range(20_000):
        assert found.of(f"10.0.{index // 256}.{index % 256}") is None
    assert found.strangers == 20_000
    assert len(found._known) <= 4096
    assert name(found, "192.0.2.7") == "a"


def test_where_the_proxy_is_belongs_to_its_trunk() -> None:
    found = trunks({"name": "a", "allow": ["192.0.2.0/24"]}, {"name": "b", "proxy": "sip:sbc.example"})
    assert name(found, "198.51.100.1") is None
    found.learn("b", ["198.51.100.1", "2001:db8:0:0::1", "192.0.2.9"])
    assert [name(found, source) for source in ("198.51.100.1", "2001:db8::1", "192.0.2.9")] == ["b", "b", "a"]
    found.learn("b", ["198.51.100.2"])
    assert [name(found, source) for source in ("198.51.100.1", "198.51.100.2")] == [None, "b"]
    found.learn("nobody", ["198.51.100.3"])
    assert name(found, "198.51.100.3") is None


def test_codecs_are_the_trunks_else_the_gateways() -> None:
    a, b = trunks({"name": "a", "codecs": ["pcma"]}, {"name": "b"})
    assert (a.codec_names, b.codec_names) == (("PCMA",), ("OPUS", "G722", "PCMU", "PCMA"))
