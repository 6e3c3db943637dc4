"""What a carrier sees: sipp plays one against real gateway processes, a row of scenarios.yaml a test."""

import pytest

from tests.sip.runner import Runner
from tests.sip.scenario import load, reachable

SCENARIOS = {scenario.name: scenario for scenario in load()}


@pytest.mark.timeout(240)  # waits for its turn among all the others
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(runner: Runner, name: str) -> None:
    if not reachable(SCENARIOS[name]):
        pytest.skip("this machine has no IPv6")
    verdict = runner.verdict(name)
    if verdict.problems:
        pytest.fail("\n".join(verdict.problems) + f"\n\n{verdict.report}", pytrace=False)
