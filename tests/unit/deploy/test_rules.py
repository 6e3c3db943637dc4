"""The alerts: promtool tries them out, and each tells a person what to do."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup as Group
from typer.main import get_command

from deploy.monitoring.levels import ENDS_WELL, LEVELS, REFUSED_BY_US, TOOL_ANSWERED
from deploy.monitoring.rules import runbook
from deploy.monitoring.windows import BURNS, RATIO_WINDOWS
from services.brain.tools.result import FAILURE_CODES
from services.gateway.admission import NoSlot
from services.gateway.end_reasons import FAILURES, REASONS
from services.gateway.refusals import NotAdmitted
from services.gateway.toll_fraud import OutboundRefused
from tandem.cli import app

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "deploy" / "helm" / "tandem" / "rules").glob("*.yaml"))
TESTS = sorted((Path(__file__).parent / "promtool").glob("*.yaml"))
ALERTS = [
    rule
    for path in RULES
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
HEADINGS = ["What callers notice", "Look at", "Likely causes", "What to do", "Whom to wake"]

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)


def run(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_promtool_reads_the_rules() -> None:
    run("check", "rules", *RULES)


@promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(path: Path) -> None:
    run("test", "rules", path)


def test_every_alert_is_tried_out() -> None:
    tried = " ".join(path.read_text() for path in TESTS)
    missing = {
        (rule["alert"], rule["labels"]["severity"]) for rule in ALERTS if not re.search(rf"\b{rule['alert']}\b", tried)
    }
    assert not missing


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_tells_what_it_is_and_where_its_page_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "runbook_url"}
    assert len(told["summary"]) <= 90
    assert told["description"].endswith(".")
    assert told["runbook_url"] == runbook(rule["alert"])
    page = ROOT / told["runbook_url"]
    assert page.is_file(), f"{page} is missing"


def test_pages_are_whole_and_of_alerts_that_exist() -> None:
    pages = {path for path in (ROOT / "docs/operations/runbooks").glob("*.md") if path.name != "README.md"}
    assert pages == {ROOT / runbook(rule["alert"]) for rule in ALERTS}
    for page in pages:
        text = page.read_text()
        assert re.findall("^## (.+)$", text, re.M) == HEADINGS, page.name
        alert = re.match("# (Tandem[A-Za-z]+)\n", text)
        assert alert, f"{page.name}: the first line is the alert's name"
        assert ROOT / runbook(alert[1]) == page
        assert len(text.splitlines()) <= 60, f"{page.name} is too long for 3 a.m."


def test_the_list_of_pages_has_them_all() -> None:
    listed = re.findall(r"\]\(([a-z-]+\.md)\)", (ROOT / "docs/operations/runbooks/README.md").read_text())
    assert sorted(listed) == sorted({Path(runbook(rule["alert"])).name for rule in ALERTS})


def test_every_reason_of_an_end_is_good_or_bad_on_purpose() -> None:
    assert set(ENDS_WELL) | FAILURES == REASONS
    assert {"remote_bye", "local_bye", "too_long"} <= set(ENDS_WELL)
    assert {"no_brain", "media_timeout", "internal_error", "session_expired"} <= FAILURES


def test_every_reason_of_a_refusal_is_ours_or_not_on_purpose() -> None:
    leaving = {"draining", "shutting_down"}
    theirs = {"unknown_trunk", "no_route", "refused_by_route", "nothing_to_replace", "sdp", "bad_request", "trunk_down"}
    every = {one.value for kind in (NoSlot, NotAdmitted, OutboundRefused) for one in kind}
    assert every == set(REFUSED_BY_US) | leaving | theirs | {one.value for one in OutboundRefused}


def test_every_failure_of_a_tool_is_good_or_bad_on_purpose() -> None:
    bad = {"busy", "unavailable", "unreachable", "timeout", "server_error", "failed", "malformed", "too_big"}
    assert bad | set(TOOL_ANSWERED) == {"ok", *FAILURE_CODES}


def test_the_fastest_burn_of_each_level_can_happen() -> None:
    """A rate above 1 / budget would be more bad events than there are events."""
    assert all(BURNS[0].rate * level.budget < 1 for level in LEVELS)
    assert {window for burn in BURNS for window in (burn.long, burn.short)} == set(RATIO_WINDOWS)


def test_the_levels_page_tells_them_all() -> None:
    text = (ROOT / "docs/operations/slo.md").read_text()
    for level in LEVELS:
        assert f"`{level.name}`" in text
        assert f"{level.objective * 100:g} %" in text
        assert level.alert in text


def test_pages_name_commands_that_exist() -> None:
    known = get_command(app)
    assert isinstance(known, Group)
    for page in [*(ROOT / "docs/operations/runbooks").glob("*.md"), ROOT / "docs/operations/dashboards.md"]:
        for line in re.findall(r"tandem ([a-z][^\n#]*)", _code(page.read_text())):
            first, *rest = line.split()
            assert first in known.commands, f"{page.name}: tandem {line}"
            command = known.commands[first]
            if isinstance(command, Group) and rest and not rest[0].startswith("-"):
                assert rest[0] in command.commands, f"{page.name}: tandem {line}"
                command = command.commands[rest[0]]
            options = {one for parameter in command.params for one in parameter.opts}
            assert {one for one in rest if one.startswith("--")} <= options, f"{page.name}: tandem {line}"


def _code(text: str) -> str:
    """What is code in a page, line by line."""
    blocks = re.findall("^```sh\n(.*?)^```", text, re.M | re.S)
    inline = re.findall("`(tandem [^`]+)`", text)
    return "\n".join([*blocks, *inline])


def test_links_of_pages_lead_somewhere() -> None:
    pages = [*(ROOT / "docs/operations/runbooks").glob("*.md")]
    pages += [ROOT / "docs/operations" / name for name in ("slo.md", "dashboards.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
        for path in re.findall(r"\bdocs/[a-z/-]+\.md|\bdeploy/[a-z/]+\.(?:yaml|yml|py|json)", page.read_text()):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
