"""One runner a session: it starts with the first test and runs those that were chosen side by side."""

import shutil
from collections.abc import Iterator

import pytest

from tests.sip.runner import Runner
from tests.sip.scenario import load, reachable


@pytest.fixture(scope="session")
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    if shutil.which("sipp") is None:
        pytest.exit("sipp is not installed: apt-get install sip-tester", returncode=2)
    table = load()
    chosen = {item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")}
    one = Runner([scenario for scenario in table if scenario.name in chosen and reachable(scenario)], table)
    one.start()
    yield one
    one.close()
