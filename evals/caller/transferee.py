"""The transferee's part of a call transfer (RFC 3515, RFC 5589 §6): takes REFER, reports how it went.

It rings nobody: the script says what became of the new call, so that every outcome can be tried.
"""

from dataclasses import dataclass, field

from evals.caller.message import Message, uri

REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 480: "Temporarily Unavailable", 486: "Busy Here",
    487: "Request Terminated", 488: "Not Acceptable Here", 500: "Server Internal Error", 503: "Service Unavailable",
    603: "Decline", 481: "Call/Transaction Does Not Exist", 501: "Not Implemented",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """How the caller's telephone takes a REFER.

    `respond`: status of the REFER itself (202, or 4xx-6xx to refuse). `notify`: the statuses reported, in order; a
    last one under 200 leaves the subscription open. `every_ms`: time before each report but the first.
    """

    respond: int = 202
    notify: tuple[int, ...] = (100, 180, 200)
    every_ms: float = 500


@dataclass(slots=True)
class Refer:
    """A REFER that came: what it asked for and what was told about it. Times in seconds of the caller's monotonic."""

    refer_to: str
    referred_by: str
    at: float
    cseq: int
    status: int
    to_notify: list[int]
    next_at: float
    notified: list[int] = field(default_factory=list)
    done_at: float | None = None

    @property
    def pending(self) -> bool:
        """True while there is something left to report."""
        return bool(self.to_notify)


def take(request: Message, plan: TransferPlan, now: float) -> Refer:
    """Judge a REFER by the plan. RFC 3515 §2.4.1: exactly one Refer-To, or 400."""
    targets = request.all("refer-to")
    status = plan.respond if len(targets) == 1 else 400
    accepted = 200 <= status < 300
    return Refer(
        refer_to=uri(targets[0]) if targets else "",
        referred_by=uri(request.get("referred-by")),
        at=now,
        cseq=request.cseq[0],
        status=status,
        to_notify=list(plan.notify) if accepted else [],
        next_at=now,
        done_at=None if accepted and plan.notify else now,
    )


def due(refer: Refer, plan: TransferPlan, now: float) -> tuple[list[tuple[str, str]], str] | None:
    """The next NOTIFY's own headers and body when its time has come, else None."""
    if not refer.to_notify or now < refer.next_at:
        return None
    status = refer.to_notify.pop(0)
    refer.notified.append(status)
    refer.next_at = now + plan.every_ms / 1000
    final = status >= 200
    if final or not refer.to_notify:
        refer.to_notify.clear()
        refer.done_at = now
    headers = [
        ("Event", f"refer;id={refer.cseq}"),
        ("Subscription-State", "terminated;reason=noresource" if final else "active;expires=60"),
        ("Content-Type", "message/sipfrag;version=2.0"),
    ]
    return headers, f"SIP/2.0 {status} {REASONS.get(status, 'Status')}\r\n"
