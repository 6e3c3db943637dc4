"""`tandem check-config`: what a file means, what is wrong in it, what is unwise."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key
from typer.testing import CliRunner

from services.common.settings import SettingsInvalid
from tandem.checkconfig import Checked, check
from tandem.cli import app
from tandem.plan import REPOSITORY

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OPEN = "gateway:\n  sip_address: 192.0.2.1:5060\n  trunks:\n  - name: a\n    allow: [198.51.100.0/24]\n"


def checked(folder: Path, text: str, now: datetime | None = None) -> Checked:
    file = folder / "tandem.yaml"
    file.write_text(text)
    return check(file, now)


def warnings(folder: Path, text: str, now: datetime | None = None) -> list[str]:
    """Without the file's name."""
    return [line.removeprefix(f"{folder}/tandem.yaml:") for line in checked(folder, text, now).warnings]


def test_the_defaults_are_sound() -> None:
    found = check(None)
    assert found.warnings == ()
    assert "SIP       127.0.0.1:5060 by UDP and TCP" in found.lines
    assert "  routes    front_desk → agent front_desk; echo → echo; else 404" in found.lines


def test_a_trunk_in_words(tmp_path: Path) -> None:
    text = (
        OPEN + "    challenge: {realm: here, users: {pbx: 'env:HOME'}, algorithms: [sha-256]}\n"
        "    register: {registrar: 'sip:pbx.example', user: tandem}\n"
        "    proxy: 'sip:192.0.2.9;transport=tls'\n    srtp: required\n    ping_s: 30\n    codecs: [pcma]\n"
        "    numbers: {country: '49', send_plus: false}\n    max_calls: 20\n    max_calls_per_s: 2.5\n"
        "    routes: [{called: '+4930*', agent: front_desk, ring_s: 2}]\n"
        "    fallback: {reject: 603, reason: Not here}\n"
        "    outbound: {caller: '+4930123', destinations: ['+49*']}\n"
    )
    found = checked(tmp_path, text)
    assert found.warnings == ()
    assert found.lines[4:] == (
        "trunk a",
        "  calls in  from 198.51.100.0/24; with a password (1 user, sha-256); 20 at once; 2.5 a second",
        "  routes    +4930* → agent front_desk after 2 s of ringing; front_desk → agent front_desk; echo → echo; "
        "else 603 Not here",
        "  calls out by sip:192.0.2.9;transport=tls; to +49*; shown as +4930123; 10 a minute, 600 minutes a day",
        "  registers as tandem at sip:pbx.example, for 3600 s",
        "  numbers   030123456 is +4930123456, and sent as 4930123456",
        "  speaks    PCMA; SRTP required; 100rel supported; session timer accept, 1800 s; ping each 30 s",
        "  not looked up here: pbx.example",
    )


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("    session_timer: {min_se_s: 2}\n", "6: gateway.trunks.0.session_timer.min_se_s: 2 is below the 90 s"),
        ("    srtp: optional\n", "6: gateway.trunks.0.srtp: the keys are sent in the clear"),
        ("    max_calls: 201\n", "6: gateway.trunks.0.max_calls: 201 are more than the gateway's own max_calls, 200"),
        (
            "    credentials: {username: u, password: 'env:HOME'}\n",
            "6: gateway.trunks.0.credentials: no realm: anybody in a call may ask for a hash of the password",
        ),
        (
            "    credentials: {username: u, password: cauliflower, realm: pbx.example}\n",
            "6: gateway.trunks.0.credentials.password: the password stands in the file for all to read",
        ),
        (
            "    challenge: {realm: x, users: {u: cauliflower}}\n",
            "6: gateway.trunks.0.challenge.users.u: the password stands in the file for all to read",
        ),
        (
            "    proxy: sip:192.0.2.9\n    outbound: {caller: '1'}\n",
            "7: gateway.trunks.0.outbound.destinations: none: every call out is refused",
        ),
        (
            "    proxy: sip:192.0.2.9\n    outbound: {caller: '1', destinations: ['+*']}\n",
            "7: gateway.trunks.0.outbound.destinations.0: +* is every number of the world",
        ),
        (
            "    proxy: sip:192.0.2.9\n    outbound: {caller: '1', destinations: ['/2[0-9]{2}/']}\n",
            "7: gateway.trunks.0.outbound.destinations.0: /2[0-9]{2}/ matches anywhere in a number: begin it with ^",
        ),
        (
            "    proxy: sip:192.0.2.9\n    outbound: {caller: '1', destinations: ['+49*']}\n"
            "  control_address: 0.0.0.0:7301\n",
            "8: gateway.control_address: whoever reaches 0.0.0.0:7301 can place calls",
        ),
        ("  - name: b\n", "6: gateway.trunks.1: no allow list, no proxy and no registrar"),
        ("  - name: b\n    proxy: sip:sbc.example\n", "6: gateway.trunks.1: no allow list: its calls are taken only"),
        ("  - name: b\n    allow: ['0.0.0.0/0']\n", "7: gateway.trunks.1.allow.0: 0.0.0.0/0 is a large part of the"),
        (
            "    routes:\n    - {called: '1*', reject: 486}\n    - {called: '112', echo: true}\n",
            "8: gateway.trunks.0.routes.1.called: is never reached: 1* above matches it",
        ),
        ("  sip_tls: {verify: false}\n", "6: gateway.sip_tls.verify: off: whoever answers in a peer's place"),
        ("  sip_tls: {ca: nowhere.pem}\n", "6: gateway.sip_tls.ca: "),
    ],
)
def test_warnings(tmp_path: Path, text: str, warning: str) -> None:
    (found,) = warnings(tmp_path, OPEN + text)
    assert found.startswith(warning)
    assert "cauliflower" not in found


def test_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    ends = NOW + timedelta(days=20)
    for name, until in (("good", NOW + timedelta(days=200)), ("soon", ends), ("late", NOW - timedelta(days=1))):
        issued = authority.issue_cert("tandem.example", not_before=NOW - timedelta(days=300), not_after=until)
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        key = load_key(issued.private_key_pem.bytes(), None)
        (tmp_path / f"{name}.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        )
    (tmp_path / "text.pem").write_text("no certificate\n")

    def told(certificate: str, key: str) -> list[str]:
        pair = f"  sip_tls: {{certificates: [{{certificate: {certificate}, key: {key}}}]}}\n  sip_tls_port: 5061\n"
        return [line.partition("certificates.0.")[2] for line in warnings(tmp_path, OPEN + pair, NOW)]

    assert told("good.pem", "good.key") == []
    (soon,) = told("soon.pem", "soon.key")
    assert soon.startswith("certificate: ")
    assert soon.endswith(f"soon.pem expires on {ends:%Y-%m-%d}")
    (late,) = told("late.pem", "late.key")
    assert late.endswith("late.pem has expired on 2026-11-22")
    assert told("good.pem", "soon.key") == [f"key: {tmp_path}/soon.key is not the key of the certificate beside it"]
    assert told("none.pem", "text.pem") == [
        f"certificate: {tmp_path}/none.pem cannot be read: No such file or directory",
        f"key: {tmp_path}/text.pem holds no private key in PEM, or one with a password",
    ]
    assert told("text.pem", "good.key") == [f"certificate: {tmp_path}/text.pem holds no certificate in PEM"]


def test_the_examples_in_the_documentation_are_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBX_PASSWORD", "cauliflower")
    (tmp_path / "carrier.password").write_text("cauliflower\n")
    page = (REPOSITORY / "docs/telephony/trunks.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        # The certificates are the reader's.
        assert [line for line in warnings(tmp_path, example) if "sip_tls" not in line] == []


def test_an_agent_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "agents" / "nurse").mkdir(parents=True)
    (tmp_path / "agents" / "nurse" / "agent.yaml").touch()
    text = (
        f"brain:\n  agents_dir: {tmp_path}/agents\ngateway:\n  routes:\n  - {{called: '1', agent: nurse}}\n"
        "  - called: '2'\n    agent: nures\n  fallback: {agent: nobody}\n"
    )
    with pytest.raises(SettingsInvalid) as refused:
        checked(tmp_path, text)
    assert refused.value.mistakes == [
        f"{tmp_path}/tandem.yaml:7: gateway.routes.1.agent: no agent nures in {tmp_path}/agents: there are nurse",
        f"{tmp_path}/tandem.yaml:8: gateway.fallback.agent: no agent nobody in {tmp_path}/agents: there are nurse",
    ]


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    file.write_text("asr:\n  x: 1\ngateway:\n  max_calls: 0\n")
    ended = CliRunner().invoke(app, ["check-config", str(file)])
    assert ended.exit_code == 2
    assert [line.removeprefix(f"{file}:") for line in ended.stderr.splitlines()] == [
        "4: gateway.max_calls: input should be greater than or equal to 1, not 0",
        "2: asr.x: unknown key",
    ]
    file.write_text(OPEN + "    session_timer: {min_se_s: 2}\n")
    ended = CliRunner().invoke(app, ["check-config", str(file)])
    assert ended.exit_code == 0
    assert "trunk a" in ended.stdout
    assert f"warning: {file}:6: " in ended.stdout
    assert ended.stdout.endswith("no mistakes, 1 warning\n")
    assert CliRunner().invoke(app, ["check-config"]).stdout.endswith("no mistakes, no warnings\n")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["check-config", str(tmp_path / "none.yaml")])
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (2, 1)


KEY = "b" * 43 + "="


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    (tmp_path / "key").write_text(KEY)
    return OPEN + "    recording: all\n  recording:\n    folder: kept\n    keys: [{id: k1, key: 'file:key'}]\n"


def test_recordings_in_words(tmp_path: Path, recorded: str) -> None:
    found = checked(tmp_path, recorded)
    assert f"recorded  calls of a, as wav in {tmp_path}/kept, sealed with key k1, for 30 days" in found.lines
    assert [line.split(": ", 1)[1] for line in found.warnings] == [
        "gateway.recording.consent: is none: callers must know from elsewhere that they are recorded"
    ]


def test_a_consent_prompt_that_is_no_sound(tmp_path: Path, recorded: str) -> None:
    (tmp_path / "ask.wav").write_bytes(b"no sound")
    with pytest.raises(SettingsInvalid, match=r"consent_prompt: .*ask\.wav"):
        checked(tmp_path, recorded + "    consent: prompt\n    consent_prompt: ask.wav\n")


def test_a_recorded_trunk_wants_a_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"recording\.keys.*openssl rand.*trunk a"):
        checked(tmp_path, OPEN + "    recording: all\n  recording: {folder: kept}\n")


def test_codecs_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.checkmedia.offered", lambda: ("PCMU", "PCMA"))
    with pytest.raises(SettingsInvalid, match="none of OPUS can be had here"):
        checked(tmp_path, OPEN + "    codecs: [opus]\n")
