"""A Ctrl-C that Python loses is sent again.

KeyboardInterrupt is raised wherever the main thread is. In a weak reference's callback, as each import runs one, or in
a __del__, Python prints "Exception ignored in" and goes on as though no one had pressed anything.
"""

import os
import signal
import sys
import threading

# Long enough to be out of the callback, too short to be noticed.
AFTER_S = 0.02


def send_again() -> None:
    """From now on, as long as the process lives. Other exceptions are reported as before."""
    report = sys.unraisablehook

    def hook(lost: "sys.UnraisableHookArgs", /) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            again = threading.Timer(AFTER_S, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()
        else:
            report(lost)

    sys.unraisablehook = hook
