"""Where a stack's SIP is heard: ports as a table, and the certificate."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from services.common.settings import YamlFile
from tandem import settings
from tandem.plan import Plan, make_plan
from tandem.sipports import sip_listeners, sip_rows

DEFAULT = "127.0.0.1:5060"
V6 = {"sip_also": ["[::1]:5060"]}


@pytest.mark.parametrize(
    ("gateway", "move", "rows"),
    [
        ({}, False, ["127.0.0.1:5060 UDP, TCP; 5061 TLS"]),
        ({}, True, ["127.0.0.1:9001 UDP, TCP; 9002 TLS"]),
        ({"sip_address": "127.0.0.1:0"}, False, ["127.0.0.1:9001 UDP, TCP; 9002 TLS"]),
        ({"sip_address": "127.0.0.1:7300"}, False, ["127.0.0.1:7300 UDP, TCP; 7302 TLS"]),
        ({"sip_tls_port": None}, False, ["127.0.0.1:5060 UDP, TCP"]),
        ({"sip_tls_port": None}, True, ["127.0.0.1:9001 UDP, TCP"]),
        ({"sip_tls_port": 7000}, False, ["127.0.0.1:5060 UDP, TCP; 7000 TLS"]),
        ({"sip_tls_port": 0}, False, ["127.0.0.1:5060 UDP, TCP; 9001 TLS"]),
        (V6, False, ["127.0.0.1:5060 UDP, TCP; 5061 TLS", "[::1]:5060 UDP, TCP; 5061 TLS"]),
        (V6, True, ["127.0.0.1:9001 UDP, TCP; 9003 TLS", "[::1]:9002 UDP, TCP; 9003 TLS"]),
        (
            {"sip_also": ["127.0.0.1:5061"]},
            False,
            ["127.0.0.1:5060 UDP, TCP; 5061 UDP, TCP; 5062 TLS"],
        ),
        ({"sip_address": "127.0.0.1:65535"}, False, ["127.0.0.1:65535 UDP, TCP"]),
    ],
)
def test_ports(gateway: dict[str, Any], move: bool, rows: list[str]) -> None:
    section = dict(gateway)
    next_free = count(9001).__next__
    listeners = sip_listeners(section, DEFAULT, {7301}, next_free, move)
    assert sip_rows(listeners) == rows
    assert {one.transport for one in listeners if one.what == "SIP"} == {"udp", "tcp"}
    # What is written is what is listened on, and is found again as it stands.
    assert sip_rows(sip_listeners(dict(section), DEFAULT, {7301}, next_free, False)) == rows


def plan(text: str, state: Path, **wishes: Any) -> Plan:
    return make_plan(settings.check(YamlFile(Path("tandem.yaml"), text)), state, **wishes)


def test_a_certificate_is_made_for_the_hosts_that_are_told(tmp_path: Path) -> None:
    text = """gateway:
  sip_address: 0.0.0.0:5060
  advertised_host: 192.0.2.10
  sip_also: ["[::1]:5060"]
  sip_tls: {verify: false}
  trunks: [{name: a, allow: [192.0.2.0/24]}]
"""
    made = plan(text, tmp_path)
    assert made.certificate_hosts == ("::1", "localhost", "192.0.2.10")
    made.write()
    again = yaml.safe_load(made.settings_file.read_text())["gateway"]["sip_tls"]
    assert again["verify"] is False
    (pair,) = again["certificates"]
    certificate = x509.load_pem_x509_certificate(Path(pair["certificate"]).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == {"::1", "localhost", "192.0.2.10"}
    assert Path(pair["key"]).stat().st_mode & 0o777 == 0o600
    assert settings.read(made.settings_file).sections == made.settings.sections


@pytest.mark.parametrize(
    "text",
    [
        "gateway:\n  sip_tls_port: null\n",
        "gateway:\n  sip_tls: {certificates: [{certificate: c.pem, key: k.pem}]}\n",
    ],
)
def test_no_certificate_is_made_where_none_is_wanted(text: str, tmp_path: Path) -> None:
    made = plan(text, tmp_path)
    assert made.certificate_hosts == ()
    made.write()
    assert not list(tmp_path.glob("*.crt"))


def test_a_certificate_of_ones_own_is_shown_next_to_the_sip_port(tmp_path: Path) -> None:
    made = plan("gateway:\n  sip_tls: {certificates: [{certificate: c.pem, key: k.pem}]}\n", tmp_path)
    assert made.addresses["gateway.sip_tls_port"] == "127.0.0.1:5061"
    (pair,) = made.settings.written["gateway"]["sip_tls"]["certificates"]
    assert Path(pair["certificate"]).name == "c.pem"
