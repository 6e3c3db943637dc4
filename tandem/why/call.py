"""What is to be said of a call as a whole: its setup, the line, hand-overs, its end."""

from collections.abc import Sequence
from statistics import median

from services.common.telemetry import names
from services.common.telemetry.storedspan import Span
from tandem.cleaned import clean
from tandem.why.finding import Finding, Kind, duration, times
from tandem.why.norms import BURST_RATIO, JITTER_MS, LOSS_PCT, MOS, RTT_MS, SETUP_MS, SLOW_TURN_MS
from tandem.why.turn import recovery
from tandem.why.turntree import latency_of, length_ms, number, turns_of


def explain_call(spans: Sequence[Span]) -> list[Finding]:
    """Of a call without a slow turn: what else went wrong, or that nothing did."""
    found = [*_setup(spans), *_answers(spans)]
    found += [recovery(span) for span in spans if span.name == names.CALL_RECOVERY]
    found += [*line(spans), *_transfers(spans), *_other_errors(spans), *_hangup(spans)]
    return found


def line(spans: Sequence[Span]) -> list[Finding]:
    """What the trunk did to the sound; from `call.hangup`, so not before the end of the call."""
    ends = _ends(spans)
    if not ends:
        return [Finding(Kind.UNKNOWN, "line", "the quality of the line: the call's end is not traced (yet)")]
    about = ends[-1].attributes
    trunk = next((span.attributes[names.TRUNK] for span in (ends[-1], *spans) if span.attributes.get(names.TRUNK)), "")
    carrier = f"the trunk {clean(trunk)}" if trunk else "the trunk"

    def known(name: str) -> float | None:
        return number(about.get(name))

    loss, late, burst = known(names.RTP_LOSS_PCT), known(names.RTP_DISCARD_PCT), known(names.RTP_BURST_RATIO)
    jitter, back = known(names.RTP_JITTER_MAX_MS), known(names.RTP_REMOTE_LOSS_PCT)
    rtt = known(names.RTP_RTT_MS)
    scores = [one for one in (known(names.RTP_MOS_LISTENING), known(names.RTP_MOS_CONVERSATIONAL)) if one is not None]
    said = []
    if loss is not None and loss >= LOSS_PCT:
        bursts = ", in bursts" if burst is not None and burst >= BURST_RATIO else ""
        said.append(f"lost {loss:.1f} % of the caller's packets{bursts}")
    if late is not None and late >= LOSS_PCT:
        packets = "them" if said else "the caller's packets"
        said.append(f"brought {late:.1f} % of {packets} too late to be heard")
    if jitter is not None and jitter >= JITTER_MS:
        said.append(f"had jitter of up to {duration(jitter)}")
    if back is not None and back >= LOSS_PCT:
        said.append(f"lost {back:.1f} % of ours on the way to the caller")
    if rtt is not None and rtt >= RTT_MS:
        said.append(f"needed {duration(rtt)} for the round trip")
    score = f"MOS {min(scores):.1f}" if scores else ""
    if said:
        told = f"The line was bad: {carrier} {', '.join(said)}" + (f" ({score})." if score else ".")
        return [
            Finding(Kind.CAUSE, "line", told),
            Finding(Kind.UNKNOWN, "line", "where on the way to the caller packets were lost or delayed"),
        ]
    if scores and min(scores) < MOS:
        return [Finding(Kind.CAUSE, "line", f"The line was bad: {score} on {carrier}, with little loss or jitter.")]
    if loss is None and not scores:
        return [Finding(Kind.UNKNOWN, "line", "the quality of the line: `call.hangup` does not tell it")]
    facts = [score] if score else []
    facts += [f"loss {loss:.1f} %"] if loss is not None else []
    facts += [f"jitter max {duration(jitter)}"] if jitter is not None else []
    return [Finding(Kind.NORMAL, "line", f"the line ({', '.join(facts)})")]


def _setup(spans: Sequence[Span]) -> list[Finding]:
    setups = [span for span in spans if span.name == names.CALL_SETUP]
    if not setups:
        return [Finding(Kind.UNKNOWN, "setup", "the setup: no span of it came")]
    first = setups[0]
    about = first.attributes
    status = about.get(names.SIP_STATUS)
    answered = number(about.get(names.SIP_ANSWERED_MS))
    if first.status == "error" or (isinstance(status, int) and status >= 300):
        why = clean(about.get(names.HANGUP_REASON) or first.status_message or "no reason given")
        code = f" with {status}" if isinstance(status, int) and status >= 300 else ""
        return [Finding(Kind.CAUSE, "setup", f"The call was not set up: it ended{code} ({why}).", length_ms(first))]
    if answered is not None and answered > SETUP_MS and about.get(names.SIP_DIRECTION) != "outbound":
        rung = number(about.get(names.SIP_RINGING_MS))
        ringing = f", after ringing from {duration(rung)} on" if rung is not None else ""
        return [Finding(Kind.CAUSE, "setup", f"It took {duration(answered)} to answer the INVITE{ringing}.", answered)]
    ack = number(about.get(names.SIP_ACK_MS))
    if answered is not None and ack is not None and ack - answered > SETUP_MS:
        late = f"The ACK came {duration(ack - answered)} after our 200: that is the way to the trunk, or a lost packet."
        return [Finding(Kind.CAUSE, "setup", late, ack - answered)]
    took = length_ms(first) if answered is None else answered
    return [Finding(Kind.NORMAL, "setup", f"setup {duration(took)}", took)]


def _answers(spans: Sequence[Span]) -> list[Finding]:
    turns = turns_of(spans)
    latencies = [ms for turn in turns if (ms := latency_of(turn))]
    if not latencies:
        return [Finding(Kind.HEARD, "turns", f"No turn of this call has a latency ({times(len(turns), 'turn')}).")]
    slow = sum(ms > SLOW_TURN_MS for ms in latencies)
    told = f"{times(slow, 'turn')} of {len(latencies)} slow" if slow else f"No turn was slow: {len(latencies)} answered"
    told = f"{told}, the slowest after {duration(max(latencies))}, half of them within {duration(median(latencies))}."
    return [Finding(Kind.HEARD, "turns", told, max(latencies))]


def _transfers(spans: Sequence[Span]) -> list[Finding]:
    found = []
    for span in spans:
        if span.name != names.TRANSFER:
            continue
        about = span.attributes
        result, why = about.get(names.TRANSFER_RESULT), about.get(names.TRANSFER_REASON)
        to = clean(about.get(names.TRANSFER_DESTINATION) or "a person")
        told = f"hand-over to {to}: {clean(result or 'not told')}" + (f" ({clean(why)})" if why else "")
        if span.status == "error":
            reason = f", {clean(span.status_message)}" if span.status_message else ""
            found.append(Finding(Kind.CAUSE, "transfer", f"A {told}{reason}.", length_ms(span)))
        else:
            found.append(Finding(Kind.NORMAL, "transfer", told, length_ms(span)))
    return found


def _other_errors(spans: Sequence[Span]) -> list[Finding]:
    """Those that no other finding is about; each name once."""
    told = (names.CALL_SETUP, names.TRANSFER, names.CALL_RECOVERY, names.CALL_HANGUP)
    counted: dict[tuple[str, str, str], int] = {}
    for span in spans:
        if span.status == "error" and span.name not in told:
            why = clean(span.status_message or span.attributes.get(names.ERROR_TYPE) or "no reason given")
            key = (clean(span.service), clean(span.name), why)
            counted[key] = counted.get(key, 0) + 1
    return [
        Finding(Kind.CAUSE, service, f"{service}: {name} failed{f' {count} times' if count > 1 else ''} ({why}).")
        for (service, name, why), count in counted.items()
    ]


def _ends(spans: Sequence[Span]) -> list[Span]:
    """Of the call itself: a leg that it opened ends in the same trace, and has an id and a line of its own."""
    ends = [span for span in spans if span.name == names.CALL_HANGUP]
    told = [span for span in spans if span.attributes.get(names.CALL_ID)]
    first = min(told, key=lambda span: span.start_ns, default=None)
    own = [span for span in ends if first and span.attributes.get(names.CALL_ID) == first.attributes[names.CALL_ID]]
    return own or ends


def _hangup(spans: Sequence[Span]) -> list[Finding]:
    ends = _ends(spans)
    if not ends:
        return []
    about = ends[-1].attributes
    who = "the caller's side" if about.get(names.HANGUP_BY_CALLER) else "our side"
    why = clean(about.get(names.HANGUP_REASON) or "no reason given")
    if ends[-1].status == "error":
        return [Finding(Kind.CAUSE, "hang-up", f"The call ended by a fault: {why}.")]
    return [Finding(Kind.NORMAL, "hang-up", f"the end, by {who} ({why})")]
