"""From the number that was called to what answers it."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.gateway.settings import RouteSettings

ECHO_USER = "echo"


@dataclass(frozen=True, slots=True)
class ToAgent:
    """The agent folder's name."""

    agent: str


@dataclass(frozen=True, slots=True)
class ToEcho:
    """The caller hears themself: for testing a trunk, needs no other service."""


Route = ToAgent | ToEcho


class Routes:
    def __init__(self, routes: Iterable[RouteSettings]) -> None:
        self._routes: dict[str, Route] = {ECHO_USER: ToEcho()}
        self._routes |= {route.called: ToAgent(route.agent) for route in routes}

    def find(self, called: str) -> Route | None:
        """What the user part of the Request-URI leads to; None is a 404. User parts differ by case (§19.1.4)."""
        return self._routes.get(called)
