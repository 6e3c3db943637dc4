"""For all tests."""

import os
import signal

from hypothesis import settings

from tests import telemetry_watch
from tests.telemetry_watch import as_the_schema_has_it

__all__ = ["as_the_schema_has_it"]

telemetry_watch.watch()

# A shell that runs the tests in the background has them ignore Ctrl-C, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does; speed is measured in bench/.
settings.register_profile("tandem", deadline=None)
# The same examples each time: what a change breaks is told from what a new example finds.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "tandem")
