"""The pure user agent: datagrams and commands in, datagrams and events out.

    agent = UserAgent(("192.0.2.10", 5060))
    for output in agent.receive(data, source, now): ...      # a datagram came
    for output in agent.expire(now): ...                     # at or after agent.next_deadline()
    for output in agent.answer(call, sdp_answer, now): ...   # a command

Every method returns `list[Output]` (see events.py), to be carried out in order. `now` is seconds on any clock
that never goes back; the same clock for all calls. Nothing here raises because of what the network sent. A
command on a call that has already ended returns [] (the command and the network's BYE or CANCEL crossed); one
that does not fit the state of a live call raises `CallStateError`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from services.gateway.sip.call import Call, CallState
from services.gateway.sip.events import (
    Address,
    CallConfirmed,
    CallEnded,
    EndReason,
    Event,
    IncomingCall,
    Output,
    ReferAnswered,
    ReferNotified,
    ReofferConfirmed,
    Reoffered,
    Send,
)
from services.gateway.sip.transaction import Timers


class CallStateError(Exception):
    """A command that the call's state does not allow, e.g. `answer` twice or `refer` before the ACK."""


class UserAgent:
    """RFC 3261 user agent over UDP: server for calls, client for BYE and REFER inside them.

    `local` is the address that peers can reach us at: it goes into Contact and Via (so never 0.0.0.0).
    `ids` gives a fresh unguessable token a call (tags, branches).
    """

    def __init__(
        self, local: Address, timers: Timers = Timers(), ids: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None: ...

    def receive(self, data: bytes, source: Address, now: float) -> list[Output]:
        """One UDP datagram from `source`."""

    def next_deadline(self) -> float | None:
        """When `expire` is due next, or None. May be early (a timer that no longer matters), never late."""

    def expire(self, now: float) -> list[Output]:
        """Runs every timer due at or before `now`."""

    def ringing(self, call: Call, now: float) -> list[Output]:
        """180 Ringing."""

    def answer(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """200 OK with `sdp` (answer, or our offer when the INVITE had none), repeated until the ACK."""

    def reject(
        self, call: Call, status: int, now: float, reason: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Final response 300–699, e.g. 503 with ("Retry-After", "5"); `reason` replaces the standard phrase."""

    def answer_reinvite(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """200 OK to the pending re-INVITE; [] when it was cancelled meanwhile."""

    def reject_reinvite(
        self, call: Call, status: int, now: float, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Refuses the pending re-INVITE, e.g. 488; the call goes on as it was."""

    def bye(self, call: Call, now: float, reason: str | None = None) -> list[Output]:
        """Ends the call however it stands: BYE, or 480 before an answer. `CallEnded` comes at once.

        Before the ACK the BYE itself waits for it (RFC 3261 §15). `reason` is a Reason header value (RFC 3326),
        e.g. 'Q.850;cause=16;text="Normal call clearing"'.
        """

    def refer(self, call: Call, target: str, now: float) -> list[Output]:
        """Blind transfer: REFER with Refer-To `target` (a URI, e.g. "sip:100@pbx.example" or "tel:+4930…").

        `ReferAnswered` follows once, then on 2xx `ReferNotified`. One at a time a call. The call stays up:
        a peer that took the transfer ends it with BYE, or the user does with `bye`.
        """
