"""Ctrl-C in the wrong moment of an import still ends the program."""

import signal
import subprocess
import sys

LOSES_ONE = """
import signal, threading, weakref
from tandem import lostinterrupt
if {guarded}:
    lostinterrupt.send_again()
class Lock: pass
lock = Lock()
reference = weakref.ref(lock, lambda _: signal.raise_signal(signal.SIGINT))
del lock
print("goes on", flush=True)
threading.Event().wait({wait_s})
"""


def run(guarded: bool, wait_s: float) -> subprocess.CompletedProcess[str]:
    program = LOSES_ONE.format(guarded=guarded, wait_s=wait_s)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


def test_python_loses_it() -> None:
    lost = run(guarded=False, wait_s=0.1)
    assert (lost.returncode, lost.stdout) == (0, "goes on\n")
    assert "Exception ignored in" in lost.stderr


def test_it_is_sent_again() -> None:
    ended = run(guarded=True, wait_s=25)
    assert ended.returncode == -signal.SIGINT
    assert "Exception ignored in" not in ended.stderr
