"""The gateway's settings: safe as they come, and mistakes refused with a line that says what to do."""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from services.common.service import read_section
from services.common.settings import SettingsInvalid, YamlFile
from services.gateway.settings import GatewaySettings, with_absolute_paths
from services.gateway.trunk_settings import TrunkSettings


def read(text: str) -> GatewaySettings:
    return read_section(YamlFile(Path("tandem.yaml"), text), "gateway", GatewaySettings)


def test_defaults_listen_on_loopback_only() -> None:
    settings = GatewaySettings()
    assert settings.sip_address == "127.0.0.1:5060"
    assert (settings.media_host, settings.contact_host) == ("127.0.0.1",) * 2
    assert settings.codec_names == ["OPUS", "G722", "PCMU", "PCMA"]
    assert [(route.called, route.agent) for route in settings.routes] == [("front_desk", "front_desk")]


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for one in parts(field.annotation):
            if isinstance(one, type) and issubclass(one, BaseModel):
                yield from models(one)


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for one in typing.get_args(annotation):
        yield from parts(one)


def test_every_field_says_why() -> None:
    found = set(models(GatewaySettings))
    assert TrunkSettings in found
    common = {"nats_url", "otlp_endpoint", "log_level", "record_pii"}
    silent = [
        f"{model.__name__}.{name}"
        for model in found
        for name, field in model.model_fields.items()
        if not field.description and name not in common
    ]
    assert silent == []


def test_an_open_address_with_trunks() -> None:
    settings = read(
        "gateway:\n  sip_address: 0.0.0.0:5060\n  advertised_host: 198.51.100.7\n"
        "  trunks:\n    - name: carrier\n      allow: [192.0.2.0/24]\n"
    )
    assert settings.contact_host == "198.51.100.7"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "gateway:\n  sip_address: 0.0.0.0:5060\n  advertised_host: 198.51.100.7\n",
            "tandem.yaml:2: gateway.sip_address: 0.0.0.0:5060 can be reached from outside and no trunk has an allow "
            "list: list your carrier's networks under trunks, or listen on 127.0.0.1",
        ),
        (
            "gateway:\n  sip_address: 0.0.0.0:5060\n  trunks: [{name: a, allow: [192.0.2.0/24]}]\n",
            "tandem.yaml:2: gateway.sip_address: 0.0.0.0 is no address to send to: set advertised_host to one that is",
        ),
        (
            "gateway:\n  advertised_host: 0.0.0.0\n",
            "tandem.yaml:2: gateway.advertised_host: 0.0.0.0 is no address to send to",
        ),
        (
            "gateway:\n  trunks:\n    - name: a\n      allow: [192.0.2.1/24]\n",
            "tandem.yaml:4: gateway.trunks.0.allow.0: expected a network such as 192.0.2.0/24: 192.0.2.1/24 has host "
            "bits set, not '192.0.2.1/24'",
        ),
        ("gateway:\n  sip_adress: x\n", "tandem.yaml:2: gateway.sip_adress: unknown key"),
        ("gateway:\n  sip_address: nonsense\n", "tandem.yaml:2: gateway.sip_address: expected host:port"),
        (
            "gateway:\n  codecs: [g729]\n",
            "tandem.yaml:2: gateway.codecs.0: input should be 'pcmu', 'pcma', 'g722' or 'opus'",
        ),
        ("gateway:\n  codecs: [opus, pcmu, opus]\n", "tandem.yaml:2: gateway.codecs: opus stands there twice"),
        (
            "gateway:\n  trunks:\n    - name: a\n      dtls: true\n",
            "tandem.yaml:4: gateway.trunks.0.dtls: offers nothing while srtp is off: set srtp to optional or required",
        ),
        (
            "gateway:\n  rtp_ports: [20000, 20099]\n",
            "tandem.yaml:2: gateway.rtp_ports: rtp_ports 20000-20099 hold 50 calls, max_calls wants 200",
        ),
        (
            "gateway:\n  routes:\n    - {called: a, agent: x}\n    - {called: a, agent: y}\n",
            "tandem.yaml:4: gateway.routes.1.called: a has a route already, which is found first",
        ),
    ],
)
def test_mistakes(text: str, line: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read(text)
    assert str(refused.value).startswith(line)


TRUNK = "gateway:\n  trunks:\n  - name: a\n    allow: [192.0.2.0/24]\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  - name: a\n", "6: gateway.trunks.1.name: there is already a trunk a"),
        (
            "  - {name: b, allow: [192.0.2.0/24]}\n",
            "6: gateway.trunks.1.allow.0: 192.0.2.0/24 is allowed by the trunk a",
        ),
        ("    allowed: []\n", "6: gateway.trunks.0.allowed: unknown key"),
        ("    outbound: {caller: '1'}\n", "6: gateway.trunks.0.outbound: calls go nowhere: set proxy, or register"),
        (
            "    outbound: {caller: '1', destinations: ['1*']}\n    proxy: sip:a.example\n",
            "6: gateway.trunks.0.outbound.destinations.0: matches nothing: a star stands for digits of numbers with a",
        ),
        (
            "    outbound: {caller: '1', destinations: ['sip:a@b']}\n    proxy: sip:a.example\n",
            "6: gateway.trunks.0.outbound.destinations.0: expected a number or a pattern such as +49*, not a URI",
        ),
        (
            "    trace_header: From\n",
            "6: gateway.trunks.0.trace_header: expected Traceparent, or a header of your own such as X-Traceparent",
        ),
        (
            "    trace_send: true\n",
            "6: gateway.trunks.0.trace_send: is told in no header: set trace_header, such as Traceparent",
        ),
        ("    ping_s: 10\n", "6: gateway.trunks.0.ping_s: pings go nowhere: set proxy, or register"),
        ("    refer: follow\n", "6: gateway.trunks.0.refer: to follow a REFER is to place a call: set outbound"),
        ("    proxy: sbc.example\n", "6: gateway.trunks.0.proxy: expected a SIP URI"),
        (
            "    proxy: sip:sbc.example;transport=sctp\n",
            "6: gateway.trunks.0.proxy: transport=sctp is none of udp, tcp",
        ),
        ("    proxy: sip:sbc.example?X=y\n", "6: gateway.trunks.0.proxy: a header in the URI"),
        ("    numbers: {country: 49}\n", "6: gateway.trunks.0.numbers.country: put it in quotes"),
        ("    numbers: {country: '049'}\n", "6: gateway.trunks.0.numbers.country: string should match"),
        ("    srtp: maybe\n", "6: gateway.trunks.0.srtp: input should be 'off', 'optional' or 'required', not 'maybe'"),
        (
            "    session_timer: {min_se_s: 120, expires_s: 100}\n",
            "6: gateway.trunks.0.session_timer.min_se_s: 120 is more",
        ),
        ("    challenge: {realm: x, users: {}}\n", "6: gateway.trunks.0.challenge.users: dictionary should have"),
        (
            "    routes: [{called: '1'}]\n",
            "6: gateway.trunks.0.routes.0: expected exactly one of agent, echo and reject",
        ),
        (
            "    routes: [{called: '1', echo: true, reject: 486}]\n",
            "6: gateway.trunks.0.routes.0: expected exactly one",
        ),
        ("    routes: [{called: '/[/', echo: true}]\n", "6: gateway.trunks.0.routes.0.called: no regular expression"),
        (
            "    routes: [{called: '/1', echo: true}]\n",
            "6: gateway.trunks.0.routes.0.called: a regular expression stands",
        ),
        ("    routes: [{called: 110, echo: true}]\n", "6: gateway.trunks.0.routes.0.called: put it in quotes"),
        ("    fallback: {agent: x, reason: y}\n", "6: gateway.trunks.0.fallback.reason: belongs to reject"),
        ("    fallback: {reject: 404, ring_s: 1}\n", "6: gateway.trunks.0.fallback.ring_s: has no use beside reject"),
        ("    fallback: {reject: 200}\n", "6: gateway.trunks.0.fallback.reject: input should be greater than or equal"),
        ("    allow: []\n", "6: gateway.trunks.0.allow: the key is given twice, first on line 5"),
        ("  sip_tls_port: 5061\n", "6: gateway.sip_tls_port: wants a certificate: set sip_tls.certificates"),
        (
            "  sip_tls: {client_certificates: required}\n",
            "6: gateway.sip_tls.client_certificates: required wants client_ca",
        ),
        ("  sip_tls: {client_ca: x}\n", "6: gateway.sip_tls.client_ca: has no use while client_certificates is off"),
        ("  sip_also: ['[::]:5060']\n", "6: gateway.sip_also.0: :: is no address to send to: set advertised_host_v6"),
        ("  sip_also: ['::1:5060']\n", "6: gateway.sip_also.0: expected host:port, with brackets"),
        ("  sip_also: ['127.0.0.1:5060']\n", "6: gateway.sip_also.0: 127.0.0.1:5060 is listened on already"),
        (
            "  advertised_host: '2001:db8::1'\n",
            "6: gateway.advertised_host: 2001:db8::1 is no IPv4 address: it belongs in",
        ),
        ("  strangers: shout\n", "6: gateway.strangers: input should be 'drop' or 'refuse'"),
        ("  hep_address: homer\n", "6: gateway.hep_address: expected host:port"),
    ],
)
def test_mistakes_in_trunks(text: str, line: str) -> None:
    # One line between, so that the line told is not that of the trunk by chance.
    with pytest.raises(SettingsInvalid) as refused:
        read(TRUNK.replace("    allow", "    codecs: [pcma]\n    allow") + text)
    assert str(refused.value).startswith(f"tandem.yaml:{line}")
    assert len(refused.value.mistakes) == 1


def test_a_trunk_as_it_is_by_default() -> None:
    (trunk,) = read(TRUNK).trunks
    assert (trunk.srtp, trunk.one_hundred_rel, trunk.refer, trunk.outbound) == ("off", "supported", "refuse", None)
    assert (trunk.session_timer.mode, trunk.session_timer.expires_s, trunk.session_timer.min_se_s) == (
        "accept",
        1800,
        90,
    )
    assert trunk.target is None


def test_calls_go_to_the_proxy_else_to_the_registrar() -> None:
    registered = TRUNK + "    register: {registrar: 'sip:pbx.example', user: tandem}\n"
    (trunk,) = read(registered).trunks
    assert (trunk.target, trunk.tls) == ("sip:pbx.example", False)
    (trunk,) = read(registered + "    proxy: sip:sbc.example;transport=TLS\n").trunks
    assert (trunk.target, trunk.tls) == ("sip:sbc.example;transport=TLS", True)
    assert trunk.registration is not None


def test_tests_may_have_short_session_timers() -> None:
    (trunk,) = read(TRUNK + "    session_timer: {min_se_s: 2, expires_s: 4}\n").trunks
    assert trunk.session_timer.min_se_s == 2


SECRET = "cauliflower"


def credentials(password: str) -> str:
    return TRUNK + f"    credentials: {{username: u, password: {password}}}\n"


def test_passwords_come_from_the_file_the_environment_or_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNK_PASSWORD", SECRET)
    (tmp_path / "password").write_text(f"{SECRET}\n")
    for written in (SECRET, "env:TRUNK_PASSWORD", "file:password", f"file:{tmp_path}/password"):
        file = YamlFile(tmp_path / "tandem.yaml", credentials(written))
        settings = read_section(file, "gateway", GatewaySettings)
        (trunk,) = settings.trunks
        assert trunk.credentials is not None
        assert trunk.credentials.password.get_secret_value() == SECRET
        assert SECRET not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("env:NOT_SET_ANYWHERE", "the environment variable NOT_SET_ANYWHERE is not set"),
        ("file:nowhere", "nowhere cannot be read: No such file or directory"),
        ("12345", "expected text: put the password in quotes"),
        ("''", "the password is empty"),
        (f'"{SECRET}\\n"', "the password holds a control character"),
    ],
)
def test_a_mistake_in_a_password_does_not_show_it(written: str, why: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read(credentials(written))
    assert str(refused.value) == f"tandem.yaml:5: gateway.trunks.0.credentials.password: {why}"
    assert SECRET not in str(refused.value.__cause__)


def test_files_lie_beside_the_settings_file_and_can_be_found_from_elsewhere() -> None:
    text = (
        TRUNK + "    challenge: {realm: x, users: {key: 'file:pw'}}\n"
        "  sip_tls: {certificates: [{certificate: c.pem, key: /k.pem}], ca: ca.pem}\n"
        "  hold_music: hold.wav\n"
    )
    file = YamlFile(Path("/etc/tandem/tandem.yaml"), text)
    written = with_absolute_paths(file.value["gateway"], file.path.parent)
    assert written["sip_tls"] == {
        "certificates": [{"certificate": "/etc/tandem/c.pem", "key": "/k.pem"}],
        "ca": "/etc/tandem/ca.pem",
    }
    assert written["hold_music"] == "/etc/tandem/hold.wav"
    assert written["trunks"][0]["challenge"]["users"] == {"key": "file:/etc/tandem/pw"}


def test_addresses_by_ip_version() -> None:
    settings = GatewaySettings(
        sip_address="127.0.0.1:5060",
        sip_also=["[::1]:5060", "127.0.0.1:5070"],
        sip_tls_port=5061,
        sip_tls={"certificates": [{"certificate": "c", "key": "k"}]},
        advertised_host="198.51.100.7",
        rtp_host="127.0.0.2",
    )
    assert settings.sip_listeners == [("127.0.0.1", 5060), ("::1", 5060), ("127.0.0.1", 5070)]
    assert settings.sip_tls_listeners == [("127.0.0.1", 5061), ("::1", 5061)]
    assert [settings.advertised(host) for host in ("127.0.0.1", "::1")] == ["198.51.100.7", "::1"]
    assert [settings.media_host_beside(host) for host in ("127.0.0.1", "::1")] == ["127.0.0.2", "::1"]


def test_an_open_second_address_wants_trunks_too() -> None:
    with pytest.raises(SettingsInvalid, match=r"sip_also\.0: 192\.0\.2\.1:5060 can be reached from outside"):
        read("gateway:\n  sip_also: ['192.0.2.1:5060']\n")
