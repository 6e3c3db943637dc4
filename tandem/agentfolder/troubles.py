"""What goes wrong with an agent's MCP servers, as lines for whoever sits at the terminal instead of as logs."""

from collections import deque
from collections.abc import MutableMapping
from typing import Any

import structlog

from services.common.telemetry import log

# Of what a program wrote on stderr: the end of a traceback, not a page.
_LAST_WORDS = 3
_KEPT = ("error", "critical", "exception")


class ServerTroubles:
    """A processor at the head of structlog's: adds to `told`, each line once, and lets only errors on."""

    def __init__(self, told: list[str]) -> None:
        self._told = told
        self._known: set[str] = set()
        self._last_words: dict[str, deque[str]] = {}

    def __call__(self, _: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        self._look(event)
        if method not in _KEPT:
            raise structlog.DropEvent
        return event

    def _look(self, event: MutableMapping[str, Any]) -> None:
        server = str(event.get("server", ""))
        match event.get("event"):
            case "MCP server says":
                # Its last words come in pieces, and as a rule before it is known to be gone.
                self._last_words.setdefault(server, deque(maxlen=_LAST_WORDS)).append(str(event.get("line", "")))
            case "MCP server out of reach":
                self._tell(f"MCP server {server} is out of reach: {event.get('error')}")
                for line in self._last_words.pop(server, ()):
                    self._tell(f"  it said: {line}")
            case "MCP tool left out":
                self._tell(f"MCP server {server}: {event.get('what')}")
            case "tool_name_taken":
                self._tell(f"tool {event.get('tool')} of {event.get('source')} is left out: the name is taken")

    def _tell(self, line: str) -> None:
        # A server is tried again and again; that it is away is news once.
        if line not in self._known:
            self._known.add(line)
            self._told.append(line)


def tell_instead_of_logging(told: list[str]) -> None:
    """Logs are for services; here they would run into what is said. Errors are still logged."""
    log.set_up("agents", "info")
    structlog.configure(processors=[ServerTroubles(told), *structlog.get_config()["processors"]])
