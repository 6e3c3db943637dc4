import pytest

from services.common.settings import SettingsInvalid
from tandem.ports import PortTaken
from tandem.processes import GaveUp, StartFailed
from tandem.refusal import explain


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SettingsInvalid(["a.yaml:1: x: unknown key", "a.yaml:2: y: missing"]),
         (2, ["a.yaml:1: x: unknown key", "a.yaml:2: y: missing"])),
        (PortTaken("TCP port 1 is taken"), (2, ["TCP port 1 is taken"])),
        (GaveUp("asr died 5 times"), (1, ["asr died 5 times"])),
        (StartFailed("asr", "ended at start, exit code 1", ["one", "two"]),
         (1, ["asr ended at start, exit code 1", "  asr | one", "  asr | two"])),
        # Its log is for the log; what it says itself is for people.
        (StartFailed("brain", "ended at start, exit code 2",
                     ['{"event": "x"}', "brain: agent folder a has 2 mistakes:", "a/agent.yaml:1: nme: unknown key",
                      '{"event": "y"}'], mistake=True),
         (2, ["brain: agent folder a has 2 mistakes:", "a/agent.yaml:1: nme: unknown key"])),
        (StartFailed("nats", "ended, exit code 2", ["address in use"], mistake=True), (2, ["address in use"])),
        (StartFailed("nats", "ended, exit code 2", [], mistake=True), (2, ["nats ended, exit code 2"])),
    ],
)  # fmt: skip
def test_what_is_told_and_with_which_exit_code(error, expected):
    assert explain(error) == expected
