"""For all tests."""

import signal

from hypothesis import settings

# A shell that runs the tests in the background has them ignore Ctrl-C, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does; speed is measured in bench/.
settings.register_profile("tandem", deadline=None)
settings.load_profile("tandem")
