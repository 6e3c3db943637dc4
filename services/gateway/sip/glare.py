"""Two requests that met: when to send ours again after 491 (RFC 3261 §14.1, RFC 3311 §5.3)."""

from __future__ import annotations


def retry_after_491(owns_call_id: bool, random: float) -> float:
    """Seconds to wait, in steps of 10 ms: 2.1 to 4 for the side that chose the Call-ID, 0 to 2 for the other.

    The ranges do not meet, so that the two sides do not collide again. `random` is uniform in [0, 1).
    """
    share = min(max(random, 0.0), 1.0)
    return round(2.1 + 1.9 * share, 2) if owns_call_id else round(2.0 * share, 2)
