"""`tandem up` as people run it: mistakes are one clear line and exit code 2 with nothing left running; Ctrl-C ends it.

The five services are real where they start without their models' help; each test takes ports of its own.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tandem.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[3]
TANDEM = (sys.executable, "-m", "tandem.cli")


def run_up(tmp_path: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`tandem up` to its end, at most 60 s."""
    return subprocess.run(
        [*TANDEM, "up", "--state", str(tmp_path / "state"), *options],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def processes_of(state: Path) -> list[str]:
    """Command lines of living processes that name the state folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(state) in command:
                found.append(command)
    return found


def wait_until(condition, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return bool(condition())


def settings_file(tmp_path: Path, text: str) -> str:
    file = tmp_path / "tandem.yaml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("gateway:\n  sip_adress: 127.0.0.1:5060\n", ":2: gateway.sip_adress: unknown key"),
        ("gatway:\n  sip_address: 127.0.0.1:5060\n", ":1: gatway: unknown key"),
        ("up:\n  business: x\n", ":2: up.business: unknown key"),
        ("asr: [1]\n", ":1: asr: expected `key: value` lines"),
        ("log_level: loud\n", ":1: log_level: "),
        ("brain:\n  address: [\n", ": not YAML: "),
        ("gateway:\n  sip_address: 0.0.0.0:5060\n  advertised_host: 192.0.2.1\n", "no trunk has an allow list"),
        ("nats_url: nats://192.0.2.7:4222\n", "--nats nats://192.0.2.7:4222"),
    ],
    ids=["key", "section", "up", "list", "value", "yaml", "open address", "nats elsewhere"],
)
def test_a_mistake_in_the_settings_is_one_line(tmp_path, text, line):
    ended = run_up(tmp_path, "--settings", settings_file(tmp_path, text))
    assert ended.returncode == 2
    assert line in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert not processes_of(tmp_path)


def test_two_mistakes_are_two_lines(tmp_path):
    ended = run_up(tmp_path, "--settings", settings_file(tmp_path, "asr:\n  x: 1\ntts:\n  y: 1\n"))
    assert ended.returncode == 2
    assert [line.partition(": ")[2] for line in ended.stderr.splitlines()] == [
        "asr.x: unknown key",
        "tts.y: unknown key",
    ]


def test_a_settings_file_that_is_not_there(tmp_path):
    ended = run_up(tmp_path, "--settings", str(tmp_path / "none.yaml"))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "cannot be read" in ended.stderr


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_taken_port_is_one_line(tmp_path, transport):
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", free_port("udp")))
        if transport != "udp":
            other.listen()
        port = other.getsockname()[1]
        sip = port - 1 if transport == "tls" else port
        ended = run_up(
            tmp_path, "--settings", settings_file(tmp_path, free_settings(gateway=f"sip_address: 127.0.0.1:{sip}"))
        )
    assert ended.returncode == 2
    told = [line for line in ended.stderr.splitlines() if line != "starting …"]
    name, what, key = ("TCP", "SIP over TLS", "sip_tls_port") if transport == "tls" else ("", "SIP", "sip_address")
    assert told == [
        f"{name or transport.upper()} port {port} on 127.0.0.1 is taken: {what} needs it; end what listens there, "
        f"set `gateway.{key}` to another, or use --ports auto"
    ]
    assert not processes_of(tmp_path)


def test_a_missing_model_is_one_line(tmp_path):
    ended = run_up(tmp_path, "--ports", "auto", TANDEM_MODELS_DIR=str(tmp_path / "models"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("models missing: ")
    assert "whisper-base" in line
    assert "tandem models fetch" in line
    assert not processes_of(tmp_path)


def test_no_nats_server_where_one_was_named(tmp_path):
    ended = run_up(tmp_path, "--ports", "auto", "--nats", "nats://127.0.0.1:9")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("no NATS server answers at nats://127.0.0.1:9")
    assert not processes_of(tmp_path)


def test_a_mistake_in_an_agent_folder_is_told_by_the_brain(tmp_path):
    agent = tmp_path / "agents" / "front_desk"
    agent.mkdir(parents=True)
    (agent / "agent.yaml").write_text("nme: front_desk\n")
    file = settings_file(tmp_path, f"brain:\n  agents_dir: {tmp_path / 'agents'}\n")
    ended = run_up(tmp_path, "--ports", "auto", "--settings", file)
    assert ended.returncode == 2
    assert "agent.yaml:1: nme: unknown key" in ended.stderr
    assert not processes_of(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything_within_five_seconds(tmp_path, number):
    ready = tmp_path / "ready.json"
    options = ["--ports", "auto", "--state", str(tmp_path / "state"), "--json-ready", str(ready)]
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen([*TANDEM, "up", *options], cwd=REPOSITORY, stdout=out, stderr=subprocess.STDOUT)
        try:
            assert wait_until(ready.exists, 90), (tmp_path / "out").read_text()
            told = json.loads(ready.read_text())
            assert set(told["pids"]) == {"nats", "business-api", "gateway", "asr", "brain", "tts", "escalation"}
            assert told["services_resident_mb"] < 3000
            process.send_signal(number)
            assert process.wait(5) == 0
        finally:
            process.kill()
            process.wait()
    assert not processes_of(tmp_path)
    assert "ready in" in (tmp_path / "out").read_text()


@pytest.mark.parametrize("after_s", [0.3, 1.5, 4.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_while_it_starts_it_leaves_nothing(tmp_path, number, after_s):
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [*TANDEM, "up", "--ports", "auto", "--state", str(tmp_path / "state")],
            cwd=REPOSITORY,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        time.sleep(after_s)
        process.send_signal(number)
        process.wait(6)
    assert wait_until(lambda: not processes_of(tmp_path), 5), processes_of(tmp_path)


def free_settings(**sections: str) -> str:
    """Settings with every listener on a port of its own, and a line more for the named sections."""
    text = f"nats_url: nats://127.0.0.1:{free_port()}\nup:\n  business_api: 127.0.0.1:{free_port()}\n"
    for section, key in (
        ("gateway", "control_address"),
        ("asr", "address"),
        ("brain", "address"),
        ("tts", "address"),
        ("escalation", "address"),
    ):
        more = f"  {sections[section]}\n" if section in sections else ""
        text += f"{section}:\n  {key}: 127.0.0.1:{free_port()}\n{more}"
    return text
