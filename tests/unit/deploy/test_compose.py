"""deploy/compose: what it mounts is there, ports and names agree, and nothing can be reached from outside."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.files import DASHBOARDS
from tandem.settings import SERVICES, read

COMPOSE = Path(__file__).parents[3] / "deploy" / "compose"


def loaded(name: str) -> Any:
    return yaml.safe_load((COMPOSE / name).read_text())


def test_images_are_pinned_and_mounts_exist() -> None:
    whole = loaded("compose.yaml")
    for name, service in whole["services"].items():
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"]), name
        for mount in service.get("volumes", ()):
            outside, _, _ = mount.partition(":")
            assert (COMPOSE / outside).exists() if outside.startswith(".") else outside in whole["volumes"], mount


def test_everything_stays_on_loopback() -> None:
    services = loaded("compose.yaml")["services"]
    for name, service in services.items():
        if service.get("network_mode") == "host":
            settings = [*service.get("command", ()), *service.get("environment", {}).values()]
            assert any("127.0.0.1" in one for one in settings), f"{name} listens for everybody"
            assert "ports" not in service
        else:
            assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name


def test_prometheus_scrapes_where_the_services_listen() -> None:
    stack = read(COMPOSE / "tandem.yaml")
    jobs = {
        job["job_name"]: [target for one in job["static_configs"] for target in one["targets"]]
        for job in loaded("prometheus.yml")["scrape_configs"]
    }
    assert jobs == {f"tandem-{service}": [stack.sections[service].metrics_address] for service in SERVICES}


def test_spans_go_where_jaeger_listens_and_grafana_asks_it() -> None:
    ports = [
        port.removeprefix("127.0.0.1:").split(":")[0] for port in loaded("compose.yaml")["services"]["jaeger"]["ports"]
    ]
    endpoint = read(COMPOSE / "tandem.yaml").common.otlp_endpoint
    sources = {one["type"]: one for one in loaded("grafana/datasources/tandem.yaml")["datasources"]}
    assert endpoint == "http://127.0.0.1:4317"
    assert sources["jaeger"]["url"] == "http://127.0.0.1:16686"
    assert set(ports) == {"4317", "16686"}
    # Without Jaeger `tandem up` answers in its place.
    assert read(None).up.traces_address == sources["jaeger"]["url"].removeprefix("http://")


def test_a_dot_leads_to_its_trace() -> None:
    prometheus, traces = loaded("grafana/datasources/tandem.yaml")["datasources"]
    links = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert {link["name"] for link in links} == {"trace_id"}
    assert links[0]["datasourceUid"] == traces["uid"]
    assert links[1]["url"].startswith("/d/tandem-call?var-trace=")
    # `$` is doubled, for Grafana puts environment variables in.
    assert links[1]["url"].endswith("$${__value.raw}")
    assert "tandem-call" in {f"tandem-{board.name}" for board in DASHBOARDS}


def test_grafana_finds_the_dashboards() -> None:
    grafana = loaded("compose.yaml")["services"]["grafana"]
    inside = {mount.split(":")[1]: mount.split(":")[0] for mount in grafana["volumes"]}
    path = loaded("grafana/dashboards/tandem.yaml")["providers"][0]["options"]["path"]
    assert inside[path] == "../helm/tandem/dashboards"
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (COMPOSE / inside[str(home.parent)] / home.name).is_file()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_promtool_reads_the_configuration(tmp_path: Path) -> None:
    """As it lies in the container: the rules beside it."""
    shutil.copy(COMPOSE / "prometheus.yml", tmp_path)
    shutil.copytree(COMPOSE.parent / "helm" / "tandem" / "rules", tmp_path / "rules")
    check = ["promtool", "check", "config", tmp_path / "prometheus.yml"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 rule files found" in done.stdout
