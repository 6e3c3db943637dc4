"""What is told of an agent's call while it lives, to whoever counts."""

from typing import Literal, Protocol

LeaseAction = Literal["asked another", "taken over", "fall-back"]
LEASE_ACTIONS: tuple[LeaseAction, ...] = ("asked another", "taken over", "fall-back")


class CallObserver(Protocol):
    def first_audio(self, call_time_us: int) -> None:
        """The agent's first sample left; once a call."""

    def lease(self, action: LeaseAction) -> None:
        """What was done because the brain was lost."""


class Unobserved:
    def first_audio(self, call_time_us: int) -> None:
        pass

    def lease(self, action: LeaseAction) -> None:
        pass


UNOBSERVED = Unobserved()
