"""What a stack would start, from its settings: nothing is started here."""

from pathlib import Path

import pytest
import yaml

from services.common.service import StartRefused
from services.common.settings import SettingsInvalid, YamlFile
from tandem import settings
from tandem.plan import make_plan

STATE = Path("/nowhere/state")


def plan(text: str = "", **wishes):
    return make_plan(settings.check(YamlFile(Path("tandem.yaml"), text)), STATE, **wishes)


def test_the_defaults_listen_on_loopback_at_known_ports():
    made = plan()
    assert {one.setting: one.address for one in made.listeners} == {
        "gateway.sip_address": "127.0.0.1:5060",
        "gateway.sip_tls_port": "127.0.0.1:5061",
        "gateway.control_address": "127.0.0.1:7301",
        "brain.address": "127.0.0.1:7302",
        "asr.address": "127.0.0.1:7303",
        "tts.address": "127.0.0.1:7304",
        "escalation.address": "127.0.0.1:7305",
        "up.business_api": "127.0.0.1:7306",
        "nats_url": "127.0.0.1:4222",
    }
    assert [one.name for one in made.programs] == [
        "nats", "business-api", "gateway", "asr", "brain", "tts", "escalation",
    ]  # fmt: skip
    assert made.settings.written["brain"]["variables"]["BUSINESS_API_URL"] == "http://127.0.0.1:7306"


def test_free_ports_are_all_different_and_the_services_find_each_other():
    made = plan(free_ports=True)
    written = made.settings.written
    ports = {one.setting: one.port for one in made.listeners}
    assert len(set(ports.values())) == len(ports)
    assert written["gateway"]["brain_address"] == written["brain"]["address"]
    for service in ("asr", "tts", "escalation"):
        assert written["brain"][f"{service}_address"] == written[service]["address"]
    assert written["nats_url"] == made.nats_url


def test_jaegers_queries_are_answered_where_they_are_wished_and_only_from_the_embedded_store():
    assert plan().trace_queries is None
    made = plan(trace_queries=True)
    assert made.trace_queries == "127.0.0.1:16686"
    assert "127.0.0.1:16686" in [one.address for one in made.listeners if one.setting == "up.traces_address"]
    assert plan("up: {traces_address: '[::1]:9000'}", trace_queries=True).trace_queries == "[::1]:9000"
    assert plan("up: {traces_address: null}", trace_queries=True).trace_queries is None
    assert plan("otlp_endpoint: http://collector:4317", trace_queries=True).trace_queries is None
    assert plan(trace_queries=True, free_ports=True).trace_queries != "127.0.0.1:16686"
    with pytest.raises(SettingsInvalid, match=r"expected host:port, as 127\.0\.0\.1:16686, not '16686'"):
        plan("up: {traces_address: '16686'}")


def test_a_service_that_listens_everywhere_is_found_on_loopback():
    made = plan("asr:\n  address: 0.0.0.0:7303\n")
    assert made.settings.written["brain"]["asr_address"] == "127.0.0.1:7303"


def test_what_the_file_says_is_kept():
    made = plan("brain:\n  asr_address: asr.example:7303\n  variables: {BUSINESS_API_URL: http://crm.example}\n")
    assert made.settings.written["brain"]["asr_address"] == "asr.example:7303"
    assert made.settings.written["brain"]["variables"]["BUSINESS_API_URL"] == "http://crm.example"


def test_a_server_that_is_already_there_is_not_started():
    made = plan(nats_url="nats://10.0.0.1:4222")
    assert made.nats_url == "nats://10.0.0.1:4222"
    assert "nats" not in [one.name for one in made.programs]
    assert "nats_url" not in [one.setting for one in made.listeners]


def test_an_embedded_server_can_only_be_on_this_machine():
    with pytest.raises(StartRefused, match=r"--nats nats://10\.0\.0\.1:4222"):
        plan("nats_url: nats://10.0.0.1:4222\n")


def test_without_a_business_api_none_is_started():
    made = plan("up:\n  business_api: null\n")
    assert "business-api" not in [one.name for one in made.programs]
    assert "BUSINESS_API_URL" not in made.settings.written["brain"]["variables"]


@pytest.mark.parametrize(
    ("text", "wish", "expected"),
    [
        ("", None, None),
        ("", "http://collector:4317", "http://collector:4317"),
        ("otlp_endpoint: http://mine:4317\n", None, "http://mine:4317"),
        ("otlp_endpoint: http://mine:4317\n", "http://collector:4317", "http://collector:4317"),
    ],
)
def test_where_traces_go(text, wish, expected):
    made = plan(text, otlp_endpoint=wish)
    if expected is None:
        assert made.otlp_endpoint == f"http://{made.otlp}"
    else:
        assert (made.otlp, made.otlp_endpoint) == (None, expected)
    told = {one.environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") for one in made.programs[2:]}
    assert told == {made.otlp_endpoint}


def test_the_written_file_is_one_the_services_read(tmp_path):
    made = make_plan(settings.read(None), tmp_path, free_ports=True)
    made.write()
    again = settings.read(made.settings_file)
    assert again.sections == made.settings.sections
    assert "up" not in yaml.safe_load(made.settings_file.read_text())


def test_an_override_wins_over_the_file():
    made = plan("gateway:\n  max_calls: 5\n", overrides={"gateway": {"max_calls": 7}})
    assert made.settings.value("gateway", "max_calls") == 7


def test_the_agents_that_ship_are_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    found = Path(plan().settings.written["brain"]["agents_dir"])
    assert found.is_absolute()
    assert (found / "front_desk" / "agent.yaml").is_file()
    (tmp_path / "agents").mkdir()
    assert "agents_dir" not in plan().settings.written["brain"]


def test_an_agents_dir_that_is_named_is_not_looked_for_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert plan("brain:\n  agents_dir: agents\n").settings.written["brain"]["agents_dir"] == "agents"
