"""What the caller measured, as JSON: all times in milliseconds on the caller's clock, which starts with the 200 OK."""

import math
from typing import Any

from evals.caller import ear as ears
from evals.caller.call import Outcome, Said


def report(result: Outcome, wav: str | None) -> dict[str, Any]:
    """The call as one object that JSON can hold; the keys are those below.

    `turns[].ear_latency_ms`: from the caller's last audible sample sent to the answer's first audible sample received
    (ear.py says how); null when nothing was heard before the caller spoke again.
    """
    phone = result.phone
    # A turn cut off by the end of the call has no last sample: it gets no answer either.
    turns = [_turn(result, index) for index, said in enumerate(result.said) if not math.isnan(said.from_ms)]
    speech = result.ear.speech
    return {
        "outcome": result.outcome,
        "why": result.why,
        "sip": {
            "answered": phone.answered_at is not None,
            "status": phone.status,
            "reason": phone.reason,
            "call_id": phone.call_id,
            "post_dial_ms": _between(phone.invited_at, phone.rang_at),
            "invite_200_ms": _between(phone.invited_at, phone.answered_at),
            "duration_ms": _between(phone.answered_at, phone.ended_at),
        },
        "greeting_heard_ms": _ms(speech[0].from_ms) if speech else None,
        "turns": turns,
        "heard": [[_ms(one.from_ms), _ms(one.to_ms)] for one in speech],
        "refers": [
            {
                "at_ms": _between(phone.answered_at, refer.at),
                "refer_to": refer.refer_to,
                "referred_by": refer.referred_by,
                "status": refer.status,
                "notified": refer.notified,
                "done_ms": _between(phone.answered_at, refer.done_at),
            }
            for refer in phone.refers
        ],
        "ended_by": phone.ended_by,
        "rtp": {
            "sent": result.sent,
            "received": result.received.received,
            "lost": result.received.lost,
            "max_gap_ms": _ms(result.received.max_gap_ms),
            "max_late_ms": _ms(result.late_ms),
        },
        "wav": wav,
    }


def _turn(result: Outcome, index: int) -> dict[str, Any]:
    said: Said = result.said[index]
    until = result.said[index + 1].from_ms if index + 1 < len(result.said) else math.inf
    until = math.inf if math.isnan(until) else until
    speech = result.ear.speech
    what = {"phrase": said.phrase.name, "text": said.phrase.text} if said.phrase else {"dtmf": said.turn.dtmf}
    turn: dict[str, Any] = {**what, "said_from_ms": _ms(said.from_ms), "said_to_ms": _ms(said.to_ms)}
    heard = ears.answer(said.from_ms, said.to_ms, speech, until)  # a NaN end compares false: no answer
    turn |= {
        "heard_from_ms": _ms(heard.heard_from_ms),
        "ear_latency_ms": _ms(heard.latency_ms),
        "heard_to_ms": _ms(heard.heard_to_ms),
        "cut_in_ms": _ms(heard.cut_in_ms),
    }
    running = [one for one in speech if one.from_ms < said.from_ms < one.to_ms]
    if running:
        stopped_ms = running[-1].to_ms
        turn["interrupted"] = {"agent_stopped_ms": _ms(stopped_ms), "after_ms": _ms(stopped_ms - said.from_ms)}
    return turn


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else _ms((end - start) * 1000)


def _ms(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 1)
