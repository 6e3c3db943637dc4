"""Host names looked up before connections are made, so that dead name servers of one host hold up nobody else.

asyncio's own look-ups share a handful of threads, and each hangs for many seconds when nobody answers: a few calls to
such a host, and no other connection can be made in the whole process. Here a host has one thread at most.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.request import getproxies, proxy_bypass

from services.brain.tools.threads import Threads

# What was found is likely to be found again, quickly, when the connection looks for it itself.
KEPT_S = 30.0


def _look_up(host: str) -> Any:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


class HostNames:
    """One a process, on its event loop. `look_up` blocks, and raises OSError for a name that is not found."""

    def __init__(self, look_up: Callable[[str], Any] = _look_up, clock: Callable[[], float] = monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._found_at: dict[str, float] = {}
        self._looking: dict[str, asyncio.Task[Any]] = {}

    async def found(self, host: str) -> None:
        """Returns when the name was found, now or a moment ago. Raises OSError, UnicodeError."""
        if _is_address(host):
            return
        found_at = self._found_at.get(host)
        if found_at is not None and self._clock() - found_at < KEPT_S:
            return
        looking = self._looking.get(host)
        if looking is None:
            looking = asyncio.create_task(Threads(f"looking up {host}", 1).run(lambda: self._look_up(host)))
            self._looking[host] = looking
            looking.add_done_callback(lambda task: self._ended(host, task))
        # It goes on for the others who wait, and for who comes next.
        await asyncio.shield(looking)

    def _ended(self, host: str, task: "asyncio.Task[Any]") -> None:
        del self._looking[host]
        if not task.cancelled() and task.exception() is None:
            self._found_at[host] = self._clock()


def is_proxied(scheme: str, host: str) -> bool:
    """Whether the environment says that a proxy connects to the host: then its name is the proxy's to look up."""
    return bool(getproxies().get(scheme)) and not proxy_bypass(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
