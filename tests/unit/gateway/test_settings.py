"""The gateway's settings: safe as they come, and mistakes refused with a line that says what to do."""

from pathlib import Path

import pytest

from services.common.service import read_section
from services.common.settings import SettingsInvalid, YamlFile
from services.gateway.settings import AccessList, GatewaySettings


def read(text: str) -> GatewaySettings:
    return read_section(YamlFile(Path("tandem.yaml"), text), "gateway", GatewaySettings)


def test_defaults_listen_on_loopback_only() -> None:
    settings = GatewaySettings()
    assert settings.sip_address == "127.0.0.1:5060"
    assert (settings.media_host, settings.media_contact_host, settings.contact_host) == ("127.0.0.1",) * 3
    assert settings.codec_names == ["PCMU", "PCMA"]
    assert [(route.called, route.agent) for route in settings.routes] == [("front_desk", "front_desk")]


def test_every_field_says_why() -> None:
    own = set(GatewaySettings.model_fields) - {"nats_url", "otlp_endpoint", "log_level", "record_pii"}
    assert [name for name in sorted(own) if not GatewaySettings.model_fields[name].description] == []


def test_an_open_address_with_trunks() -> None:
    settings = read(
        "gateway:\n  sip_address: 0.0.0.0:5060\n  advertised_host: 198.51.100.7\n"
        "  trunks:\n    - name: carrier\n      allow: [192.0.2.0/24]\n"
    )
    assert (settings.contact_host, settings.media_contact_host) == ("198.51.100.7", "198.51.100.7")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "gateway:\n  sip_address: 0.0.0.0:5060\n  advertised_host: 198.51.100.7\n",
            "tandem.yaml:1: gateway: sip_address 0.0.0.0:5060 can be reached from outside and no trunk has an allow "
            "list: list your carrier's networks under trunks, or listen on 127.0.0.1",
        ),
        (
            "gateway:\n  sip_address: 0.0.0.0:5060\n  trunks: [{name: a, allow: [192.0.2.0/24]}]\n",
            "tandem.yaml:1: gateway: sip_address 0.0.0.0 is no address to send to: set advertised_host to one that is",
        ),
        (
            "gateway:\n  advertised_host: 0.0.0.0\n",
            "tandem.yaml:1: gateway: advertised_host 0.0.0.0 is no address to send to",
        ),
        (
            "gateway:\n  trunks:\n    - name: a\n      allow: [192.0.2.1/24]\n",
            "tandem.yaml:4: gateway.trunks.0.allow.0: expected a network such as 192.0.2.0/24: 192.0.2.1/24 has host "
            "bits set, not '192.0.2.1/24'",
        ),
        ("gateway:\n  sip_adress: x\n", "tandem.yaml:2: gateway.sip_adress: unknown key"),
        ("gateway:\n  sip_address: nonsense\n", "tandem.yaml:2: gateway.sip_address: expected host:port"),
        ("gateway:\n  codecs: [opus]\n", "tandem.yaml:2: gateway.codecs.0: input should be 'pcmu' or 'pcma'"),
        (
            "gateway:\n  rtp_ports: [20000, 20099]\n",
            "tandem.yaml:1: gateway: rtp_ports 20000-20099 hold 50 calls, max_calls wants 200",
        ),
        (
            "gateway:\n  routes:\n    - {called: a, agent: x}\n    - {called: a, agent: y}\n",
            "tandem.yaml:1: gateway: routes name a more than once",
        ),
    ],
)
def test_mistakes(text: str, line: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read(text)
    assert str(refused.value).startswith(line)


def test_access_list() -> None:
    settings = read("gateway:\n  trunks:\n    - name: a\n      allow: [192.0.2.0/28, '2001:db8::/32']\n")
    access = AccessList(settings.trunks)
    assert access.trusted
    assert [access.allows(host) for host in ("192.0.2.15", "192.0.2.16", "2001:db8::1", "127.0.0.1", "192.0.2.16")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert access.refused == 3
    assert AccessList([]).allows("203.0.113.9")
