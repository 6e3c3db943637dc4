"""Retry-After (RFC 3261 §20.33)."""

from __future__ import annotations

import re

from services.gateway.sip.message import Response

_DELTA_SECONDS = re.compile(r"\s*([0-9]{1,10})\s*(?:[;(]|$)")


def retry_after_s(response: Response | None) -> int | None:
    """Its seconds, without comment and parameters; None without one, or with one that cannot be read."""
    match = None if response is None else _DELTA_SECONDS.match(response.headers.get("Retry-After") or "")
    return None if match is None else int(match[1])
