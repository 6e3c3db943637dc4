"""Why answered calls end, in the few words of metrics and spans; and which of those ends are failures."""

from services.gateway.sip.events import EndReason

DTLS_FAILED = "dtls_failed"
# Why we hung up, in the words of who did. Agents and operators have words of their own: those are `local_bye`.
_OUR_REASONS = {
    "media timeout": "media_timeout",
    "call too long": "too_long",
    "no brain": "no_brain",
    "internal error": "internal_error",
    "shutting down": "shutting_down",
    "no SDP answer": "no_sdp_answer",
    "unusable SDP answer": "no_sdp_answer",
    "the trunk's minutes of the day are used up": "minutes_used_up",
}
REASONS = frozenset(_OUR_REASONS.values()) | {DTLS_FAILED} | {one.value for one in EndReason}
"""All values of the label `reason` of CALLS_ENDED."""

FAILURES = frozenset(
    {
        "media_timeout",
        "no_brain",
        "internal_error",
        "shutting_down",
        "no_sdp_answer",
        DTLS_FAILED,
        EndReason.NO_ACK.value,
        EndReason.NO_PRACK.value,
        EndReason.DIALOG_GONE.value,
        EndReason.SESSION_EXPIRED.value,
        EndReason.UNREACHABLE.value,
    }
)
"""Ends that nobody wanted: the caller was cut off. Caps that the settings have (length, minutes) are none of them."""


def reason_of(ended: EndReason, words: str | None, media_failed: bool = False) -> str:
    """One of REASONS. `words` is LiveCall.hang_up_reason; `media_failed`: DTLS got no keys."""
    value: str = ended.value
    if ended in (EndReason.LOCAL_BYE, EndReason.REJECTED):
        value = _OUR_REASONS.get(words or "", value)
    return DTLS_FAILED if media_failed and value == EndReason.LOCAL_BYE.value else value
