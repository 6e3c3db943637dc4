"""From the number that was called to what answers it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.gateway.numbers import NumberPattern, NumberPlan
from services.gateway.trunk_settings import FallbackSettings, RouteSettings

ECHO_USER = "echo"


@dataclass(frozen=True, slots=True)
class ToAgent:
    """The agent folder's name. `ring_s`: 180 for this long first; `early_media`: 183 with SDP in its place."""

    agent: str
    ring_s: float = 0.0
    early_media: bool = False


@dataclass(frozen=True, slots=True)
class ToEcho:
    """The caller hears themself: for testing a trunk, needs no other service."""

    ring_s: float = 0.0
    early_media: bool = False


@dataclass(frozen=True, slots=True)
class ToReject:
    """A final response of 400 to 699; `reason` None is the status's usual phrase."""

    status: int
    reason: str | None = None


Route = ToAgent | ToEcho | ToReject
NOT_FOUND = ToReject(404)


def route_of(settings: FallbackSettings) -> Route:
    if settings.reject is not None:
        return ToReject(settings.reject, settings.reason)
    if settings.agent is not None:
        return ToAgent(settings.agent, settings.ring_s, settings.early_media)
    return ToEcho(settings.ring_s, settings.early_media)


class Routes:
    """The first route that matches, by order; then `echo`; then the fallback.

    A number is compared as it came and, where `numbers` says how the trunk writes them, in E.164 with a plus.
    """

    def __init__(
        self,
        routes: Iterable[RouteSettings],
        fallback: FallbackSettings | None = None,
        numbers: NumberPlan | None = None,
    ) -> None:
        """`routes` in the order in which they are tried: a trunk's own, then the gateway's."""
        self._routes = [(NumberPattern(route.called), route_of(route)) for route in routes]
        self._routes.append((NumberPattern(ECHO_USER), ToEcho()))
        self._fallback = route_of(fallback) if fallback else None
        self._numbers = numbers

    def find(self, called: str) -> Route | None:
        """What the user part of the Request-URI leads to; None is a 404. User parts differ by case (§19.1.4)."""
        e164 = self._numbers.e164(called) if self._numbers else None
        for pattern, route in self._routes:
            if pattern.matches(called) or (e164 is not None and pattern.matches(e164)):
                return route
        return self._fallback
