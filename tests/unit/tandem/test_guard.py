"""The guard's small parts; what it does under make is in tests/e2e/test_killed.py."""

import os
import subprocess
import sys

import pytest

from tandem import guard


def run(*command: str, parent: int | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", guard.__file__, "--parent", str(parent or os.getpid()), "--", *command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("command", "code"),
    [(("true",), 0), (("sh", "-c", "exit 7"), 7), (("sh", "-c", "kill -9 $$"), 137), (("/no/such/command",), 127)],
)
def test_the_exit_code_is_the_commands(command, code):
    assert run(*command).returncode == code


def test_output_goes_through():
    assert run("echo", "one line").stdout == "one line\n"


def test_what_the_command_leaves_behind_is_ended():
    left = int(run("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!").stdout)
    with pytest.raises(ProcessLookupError):
        os.kill(left, 0)


def test_a_parent_that_is_gone_already_ends_it_at_once():
    assert run("true", parent=1).returncode == 143


def test_wrong_usage():
    assert guard.main(["--", "true"]) == 2


def test_a_process_that_is_not_make_is_never_told_to_stop():
    assert not guard._told_to_stop(os.getpid())
    assert not guard._told_to_stop(2**22 + 1)
