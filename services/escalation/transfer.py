"""Blind transfer by REFER, as a pure machine: RFC 3515 on the wire, RFC 5589 §6 for who does what when.

    transfer = Transfer("sip:desk@pbx.example", ring_timeout_s=30)
    for output in transfer.start(now): ...            # carry out, in order
    for output in transfer.notified(180, "Ringing", False, now): ...
    for output in transfer.expire(now): ...           # at or after transfer.next_deadline()

`now` is seconds on any clock that never goes back. Every method returns `list[Output]`; the last output ever is one
`Outcome`, and whatever comes after it is answered with [].

A call that ends while the transfer is under way is ambiguous: the trunk sends the same BYE when it has joined the
caller to the person (RFC 5589 §6 leaves the BYE to us, many trunks do not wait) and when the caller gave up. We decide:

| REFER             | NOTIFY seen         | the call was ended by | result                     |
|-------------------|---------------------|-----------------------|----------------------------|
| not accepted      | any                 | anyone                | CALL_GONE                  |
| accepted          | 180 to 199          | the far side          | TRANSFERRED, presumed      |
| accepted          | none at all         | the far side          | TRANSFERRED, presumed      |
| accepted          | 100 only            | the far side          | CALL_GONE                  |
| accepted          | any                 | us (cap, operator)    | CALL_GONE                  |

A trunk that told us of ringing, and one that reports nothing although RFC 3515 §2.4.4 wants an immediate NOTIFY, is
taken at its BYE: a 200 may have been overtaken by it on UDP. One that says 100 and would have said more is not.
A presumed transfer is marked so in the ticket, because a caller who gave up looks the same.

What REFER cannot do: once accepted it cannot be taken back (RFC 3515 has no cancel). After a cancel, or when nobody
answers in time, the caller talks to us again, but a person who picks up later still gets the call.
"""

from dataclasses import dataclass
from enum import Enum, auto

# The ticket is to be there before the telephone rings, but the caller hears nothing meanwhile.
TICKET_PATIENCE_S = 1.0
# Opening a stream to a live gateway takes milliseconds.
WATCH_PATIENCE_S = 3.0
WATCH_AGAIN_S = 0.5
WATCH_ATTEMPTS = 4
# The transaction itself gives up after 64*T1 = 32 s (RFC 3261 Timer F): too long for a caller in silence.
REFER_PATIENCE_S = 10.0
# Refer's answer and Watch's events come on two streams: the end of the call may overtake the 202.
ANSWER_OVERTAKEN_S = 0.5


class Result(Enum):
    TRANSFERRED = "transferred"
    RETURNED = "returned"
    CANCELLED = "cancelled"
    CALL_GONE = "call_gone"


@dataclass(frozen=True, slots=True)
class FileTicket:
    """Then `ticket_filed` or `ticket_failed`."""


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Open CallControl.Watch; then `watch_started`, `watch_lost` or `call_unknown`."""


@dataclass(frozen=True, slots=True)
class SendRefer:
    """Then `refer_answered`."""

    target: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """End our leg: the person has the caller (RFC 5589 §6)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    step: str
    sip_status: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is for people. `presumed`: concluded from the call's end, see the module's table."""

    result: Result
    reason: str
    sip_status: int = 0
    presumed: bool = False


Output = FileTicket | OpenWatch | SendRefer | HangUp | Progress | Outcome


class _State(Enum):
    NEW = auto()
    PREPARING = auto()  # ticket being filed, watch being opened
    REFERRING = auto()  # REFER sent, no answer yet
    RINGING = auto()  # REFER accepted
    DONE = auto()


class Transfer:
    """One attempt to move a call to `destination`, a SIP or tel URI."""

    def __init__(self, destination: str, ring_timeout_s: float) -> None:
        self.destination = destination
        self.ring_timeout_s = ring_timeout_s
        self._state = _State.NEW
        self._deadlines: dict[str, float] = {}
        self._ticket_settled = False
        self._watching = False
        self._watch_attempts = 0
        self._last_notified: int | None = None
        self._ended: tuple[bool, str] | None = None

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def start(self, now: float) -> list[Output]:
        """Once, first of all."""
        if self._state is not _State.NEW:
            return []
        self._state = _State.PREPARING
        self._deadlines["ticket"] = now + TICKET_PATIENCE_S
        return [FileTicket(), *self._open_watch(now)]

    def ticket_filed(self, now: float) -> list[Output]:
        if self.done:
            return []
        return [Progress("ticket filed"), *self._ticket_over(now)]

    def ticket_failed(self, now: float) -> list[Output]:
        """The person goes without it: the caller matters more."""
        if self.done:
            return []
        return [Progress("ticket not filed"), *self._ticket_over(now)]

    def watch_started(self, now: float) -> list[Output]:
        if self.done:
            return []
        self._watching = True
        self._deadlines.pop("watch", None)
        return self._refer_when_prepared(now)

    def watch_lost(self, now: float) -> list[Output]:
        """The stream broke, or ended without telling of the call's end; NOTIFYs may be missed until it is back."""
        if self.done:
            return []
        self._watching = False
        if self._watch_attempts >= WATCH_ATTEMPTS:
            return self._end(Outcome(Result.RETURNED, "lost sight of the call: its gateway does not answer"))
        self._deadlines["watch again"] = now + WATCH_AGAIN_S
        return []

    def call_unknown(self, now: float) -> list[Output]:
        """The gateway has no such call (any more)."""
        return self.call_ended(True, "the gateway no longer knows the call", now)

    def refer_answered(self, status: int, phrase: str, now: float) -> list[Output]:
        """The final response to REFER; 408 when a timer spoke for a peer that said nothing."""
        if self._state not in (_State.REFERRING, _State.RINGING):
            return []
        if 200 <= status < 300:
            outputs: list[Output] = [Progress("REFER accepted", status)]
            if self._state is _State.REFERRING:
                self._ring(now)
            if self._ended:
                return outputs + self._end(self._ended_after_acceptance(*self._ended))
            return outputs
        why = f"the trunk refused REFER ({_said(status, phrase)})"
        return self.refer_failed("the trunk did not answer REFER" if status == 408 else why, now, status)

    def refer_failed(self, why: str, now: float, status: int = 0) -> list[Output]:
        """The REFER was refused, or could not be sent."""
        if self._state is not _State.REFERRING:
            # Once a NOTIFY came the peer has taken the REFER: only its response was lost.
            return []
        if self._ended:
            return self._end(Outcome(Result.CALL_GONE, self._ended[1]))
        return self._end(Outcome(Result.RETURNED, why, status))

    def notified(self, status: int, phrase: str, final: bool, now: float) -> list[Output]:
        """A NOTIFY's sipfrag; status 0 when it had none. `final`: Subscription-State: terminated (RFC 6665 §4.1.3)."""
        if self._state not in (_State.REFERRING, _State.RINGING):
            return []
        if self._state is _State.REFERRING:
            # RFC 3515 §2.4.4: the NOTIFY may come before the 202, and implies it.
            self._ring(now)
        if 200 <= status < 300:
            outcome = Outcome(Result.TRANSFERRED, "answered", status)
            return [Progress("answered", status), HangUp("transferred"), *self._end(outcome)]
        if status >= 300:
            return self._end(Outcome(Result.RETURNED, in_words(status, phrase), status))
        if final:
            return self._end(Outcome(Result.RETURNED, "the trunk stopped reporting on the transfer", status))
        if status == self._last_notified:
            return []
        self._last_notified = max(status, self._last_notified or 0)
        outputs: list[Output] = [Progress("ringing" if status >= 180 else "trying", status)]
        if self._ended:
            outputs += self._end(self._ended_after_acceptance(*self._ended))
        return outputs

    def call_ended(self, by_caller: bool, reason: str, now: float) -> list[Output]:
        """`by_caller`: by the caller or the trunk, who send the same BYE; otherwise by us."""
        if self.done:
            return []
        if self._state is _State.RINGING:
            return self._end(self._ended_after_acceptance(by_caller, reason))
        if self._state is _State.REFERRING:
            self._ended = (by_caller, reason)
            self._deadlines["answer overtaken"] = now + ANSWER_OVERTAKEN_S
            return []
        return self._end(Outcome(Result.CALL_GONE, reason))

    def cancel(self, now: float) -> list[Output]:
        """The caller stays with us, see the module on what REFER cannot do."""
        if self.done:
            return []
        if self._ended:
            return self._end(Outcome(Result.CALL_GONE, self._ended[1]))
        return self._end(Outcome(Result.CANCELLED, "the caller would rather stay"))

    def next_deadline(self) -> float | None:
        return min(self._deadlines.values(), default=None)

    def expire(self, now: float) -> list[Output]:
        """Runs every timer due at or before `now`."""
        outputs: list[Output] = []
        for name, at in sorted(self._deadlines.items(), key=lambda item: item[1]):
            if at <= now and not self.done:
                self._deadlines.pop(name, None)
                outputs += self._timer(name, now)
        return outputs

    def _timer(self, name: str, now: float) -> list[Output]:
        if name == "ticket":
            return [Progress("ticket late"), *self._ticket_over(now)]
        if name == "watch again":
            return self._open_watch(now)
        if name == "answer overtaken" and self._ended:
            return self._end(Outcome(Result.CALL_GONE, self._ended[1]))
        reason = {
            "watch": "the call's gateway does not answer",
            "refer": "the trunk did not answer REFER",
            "ring": f"no answer in {self.ring_timeout_s:g} s",
        }[name]
        return self._end(Outcome(Result.RETURNED, reason, 0 if name == "watch" else 408))

    def _open_watch(self, now: float) -> list[Output]:
        self._watch_attempts += 1
        if self._state is _State.PREPARING:
            # Later the REFER's own timers see to it that this ends.
            self._deadlines.setdefault("watch", now + WATCH_PATIENCE_S)
        return [OpenWatch()]

    def _ticket_over(self, now: float) -> list[Output]:
        self._ticket_settled = True
        self._deadlines.pop("ticket", None)
        return self._refer_when_prepared(now)

    def _refer_when_prepared(self, now: float) -> list[Output]:
        if self._state is not _State.PREPARING or not (self._ticket_settled and self._watching):
            return []
        self._state = _State.REFERRING
        self._deadlines["refer"] = now + REFER_PATIENCE_S
        return [SendRefer(self.destination)]

    def _ring(self, now: float) -> None:
        self._state = _State.RINGING
        self._deadlines.pop("refer", None)
        self._deadlines["ring"] = now + self.ring_timeout_s

    def _ended_after_acceptance(self, by_caller: bool, reason: str) -> Outcome:
        heard = self._last_notified
        if by_caller and (heard is None or heard >= 180):
            how = "the trunk ended our leg while it rang" if heard else "the trunk ended our leg"
            return Outcome(Result.TRANSFERRED, f"{how}; taken for answered", heard or 0, presumed=True)
        return Outcome(Result.CALL_GONE, reason, heard or 0)

    def _end(self, outcome: Outcome) -> list[Output]:
        self._state = _State.DONE
        self._deadlines.clear()
        return [outcome]


_WORDS = {
    401: "the trunk wants credentials",
    403: "not allowed",
    404: "the number is not known",
    407: "the trunk wants credentials",
    408: "no answer",
    410: "the number is not known",
    480: "not available",
    484: "the number is not complete",
    486: "busy",
    487: "the call was cancelled",
    488: "no common codec",
    600: "busy",
    603: "declined",
    604: "the number is not known",
    607: "declined",
    608: "declined",
}


def in_words(status: int, phrase: str = "") -> str:
    """Why a transfer failed, for people, from the final status of the person's leg (RFC 3261 §21)."""
    if status in _WORDS:
        return _WORDS[status]
    if 300 <= status < 400:
        return f"moved elsewhere ({_said(status, phrase)})"
    if 500 <= status < 600:
        return f"out of reach ({_said(status, phrase)})"
    return f"refused ({_said(status, phrase)})"


def _said(status: int, phrase: str) -> str:
    return f"{status} {phrase}".strip()
