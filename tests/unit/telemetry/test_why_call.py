"""`tandem why` about a call without a slow turn: setup, line, hand-over, end."""

from dataclasses import replace

import pytest

from services.common.telemetry import names
from services.common.telemetry.storedspan import Span
from tandem.why.call import explain_call, line
from tandem.why.finding import Kind, paragraph
from tests.unit.telemetry.whyspans import RECOVERY, SETUP, About, hangup, span, tool, turn


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (
            {
                names.RTP_LOSS_PCT: 8.0,
                names.RTP_BURST_RATIO: 3.0,
                names.RTP_JITTER_MAX_MS: 140.0,
                names.RTP_MOS_LISTENING: 2.9,
            },
            "The line was bad: the trunk carrier lost 8.0 % of the caller's packets, in bursts, had jitter of up to "
            "140 ms (MOS 2.9).",
        ),
        (
            {names.RTP_DISCARD_PCT: 2.5},
            "the trunk carrier brought 2.5 % of the caller's packets too late to be heard (MOS 4.4).",
        ),
        ({names.RTP_REMOTE_LOSS_PCT: 3.0}, "lost 3.0 % of ours on the way to the caller"),
        ({names.RTP_RTT_MS: 420.0}, "needed 420 ms for the round trip"),
        ({names.RTP_MOS_CONVERSATIONAL: 3.1}, "The line was bad: MOS 3.1 on the trunk carrier, with little loss"),
        ({}, "the line (MOS 4.4, loss 0.1 %, jitter max 10 ms)"),
    ],
)
def test_the_line(about: About, words: str) -> None:
    assert words in line([SETUP, hangup(**about)])[0].text


def test_the_line_is_the_call_s_own_not_that_of_a_leg_that_it_opened() -> None:
    own = hangup(**{names.CALL_ID: "c1", names.TRUNK: "carrier", names.RTP_LOSS_PCT: 8.0})
    leg = replace(hangup(**{names.CALL_ID: "leg", names.TRUNK: "pbx"}), span_id="7" * 16, start_ns=own.start_ns + 1)
    assert "the trunk carrier lost 8.0 %" in line([SETUP, own, leg])[0].text


def test_a_call_that_goes_on_has_no_quality_yet() -> None:
    assert line([SETUP])[0].kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        (
            [SETUP, turn(400.0), hangup()],
            "No turn was slow: 1 answered, the slowest after 400 ms, half of them within 400 ms. Normal: setup 12 ms, "
            "the line (MOS 4.4, loss 0.1 %, jitter max 10 ms), the end, by the caller's side (BYE).",
        ),
        (
            [replace(SETUP, status="error", attributes={names.SIP_STATUS: 503, names.HANGUP_REASON: "no slot"})],
            "The call was not set up: it ended with 503 (no slot).",
        ),
        (
            [replace(SETUP, attributes={names.SIP_ANSWERED_MS: 4200.0, names.SIP_RINGING_MS: 3.0})],
            "It took 4.2 s to answer the INVITE, after ringing from 3 ms on.",
        ),
        (
            [replace(SETUP, attributes=SETUP.attributes | {names.SIP_ACK_MS: 2012.0})],
            "The ACK came 2.0 s after our 200: that is the way to the trunk, or a lost packet.",
        ),
        ([SETUP, RECOVERY], "The brain that held the call was lost (silent for 2 s)"),
        (
            [SETUP, tool(7000), replace(tool(7100), status="error", status_message="timeout", service="brain")],
            "brain: execute_tool book failed (timeout).",
        ),
        (
            [
                SETUP,
                span(
                    names.TRANSFER,
                    9000,
                    19_000,
                    {names.TRANSFER_DESTINATION: "sales", names.TRANSFER_RESULT: "returned"},
                    status="error",
                    status_message="busy",
                ),
            ],
            "A hand-over to sales: returned, busy.",
        ),
        ([SETUP, replace(hangup(), status="error")], "The call ended by a fault: BYE."),
        ([], "Not in the trace: the setup: no span of it came"),
    ],
)
def test_a_call_without_a_slow_turn(spans: list[Span], words: str) -> None:
    assert words in paragraph(explain_call(spans))
