"""`call.setup`: a span from the INVITE to its ACK, with what came when."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span

from services.common.telemetry import names
from services.common.telemetry.trace import call_over, keep, traceparent_of, tracer

NO_CONTEXT = Context()


def ids(traceparent: str) -> dict[str, str]:
    """For a line of log that is written outside of the call's own task: there nothing is bound."""
    parts = traceparent.split("-")
    return {"trace_id": parts[1], "span_id": parts[2]} if len(parts) == 4 else {}


class CallSetup:
    """One INVITE. Times are seconds on the signalling's clock; what comes a second time, or after the end, is nothing.

    It ends with `acknowledged`, `refused` or `closed`, whichever is first: it is exported while the call still lives.
    """

    def __init__(
        self,
        trunk: str,
        direction: str,
        now: float,
        *,
        parent: Context = NO_CONTEXT,
        joined: bool = False,
        of_call: bool = False,
        call_id: str = "",
        sip_call_id: str = "",
        links: Sequence[Link] = (),
    ) -> None:
        """`parent`: whose the call is; `joined` where the INVITE itself told so. `of_call`: of a call that lives on
        whatever becomes of this one, so that its trace is not over with it."""
        self.trunk, self.direction = trunk, direction
        self.joined = joined
        self._began = now
        self._seen: set[str] = set()
        self.over = False
        # A call that another service has us place is part of what it does, and its trace is not ours to end.
        foreign = not joined and get_current_span(parent).get_span_context().is_valid
        self.ends_trace = not foreign and not of_call
        known = {names.TRUNK: trunk, names.CALL_ID: call_id, names.SIP_CALL_ID: sip_call_id}
        self.span = tracer().start_span(
            names.CALL_SETUP,
            context=parent,
            kind=SpanKind.SERVER if direction == "inbound" else SpanKind.CLIENT,
            links=links,
            attributes={
                names.SIP_METHOD: "INVITE",
                names.SIP_DIRECTION: direction,
                names.SIP_TRACE_JOINED: joined,
                **{name: value for name, value in known.items() if value},
            },
        )
        self.traceparent = traceparent_of(self.span)

    def trying(self, now: float) -> None:
        """100, or the first provisional response of the other side."""
        self._reached("trying", names.SIP_TRYING_MS, now)

    def ringing(self, now: float) -> None:
        """180."""
        self._reached("ringing", names.SIP_RINGING_MS, now)

    def progressed(self, status: int, described: bool, now: float) -> None:
        """A provisional response to an INVITE of ours, `described` where it has SDP."""
        self.trying(now)
        if status == 180:
            self.ringing(now)
        if described:
            self.early_media()

    def early_media(self) -> None:
        """SDP in a provisional response."""
        if "early media" not in self._seen and not self.over:
            self._seen.add("early media")
            self.span.add_event("early media")

    def answered(self, now: float) -> float | None:
        """200. The seconds that it took; None where it was told before."""
        if not self._reached("answered", names.SIP_ANSWERED_MS, now):
            return None
        self.span.set_attribute(names.SIP_STATUS, 200)
        return now - self._began

    def acknowledged(self, now: float) -> None:
        """ACK: the setup is over and the call goes on."""
        if self._reached("acknowledged", names.SIP_ACK_MS, now):
            self._end()

    def refused(self, status: int, why: str, failure: str = "") -> None:
        """There will be no call. `status` 0 where no response brought its end. `failure`: its kind, where it is one;
        busy, cancelled or unknown numbers are none."""
        if self.over:
            return
        self.span.set_attribute(names.HANGUP_REASON, why)
        if status:
            self.span.set_attribute(names.SIP_STATUS, status)
        if failure:
            self._failed(failure, f"{status} {why}" if status else why)
        self._end()
        if failure:
            keep(self.traceparent, f"call failed: {failure}")
        if self.ends_trace:
            call_over(self.traceparent)

    def closed(self, why: str, failure: str = "") -> None:
        """The call that was answered is over, or moved, and no ACK came."""
        if self.over:
            return
        self.span.set_attribute(names.HANGUP_REASON, why)
        if failure:
            self._failed(failure, why)
        self._end()

    def _failed(self, kind: str, why: str) -> None:
        self.span.set_attribute(names.ERROR_TYPE, kind)
        self.span.set_status(Status(StatusCode.ERROR, why))

    def _reached(self, event: str, attribute: str, now: float) -> bool:
        if self.over or event in self._seen:
            return False
        self._seen.add(event)
        self.span.set_attribute(attribute, round((now - self._began) * 1000, 1))
        self.span.add_event(event)
        return True

    def _end(self) -> None:
        self.over = True
        self.span.end()
