"""Trace context in SIP: W3C traceparent (https://www.w3.org/TR/trace-context/) in a header of the trunk's choice."""

from __future__ import annotations

import re

from opentelemetry.context import Context

from services.common.telemetry.log import logger
from services.common.telemetry.trace import context_from_traceparent
from services.gateway.sip.header import Headers
from services.gateway.trunk_settings import TrunkSettings

# As version 00 has it (§3.2); no id is all zeros, and ff is no version.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def told_by(headers: Headers, trunk: TrunkSettings) -> Context | None:
    """The span of the other side's that an INVITE belongs to; None where the trunk is not asked, or tells none that can
    be read."""
    if trunk.trace_header is None:
        return None
    given = headers.all(trunk.trace_header)
    if not given:
        return None
    # More than one is as good as none (§4.3): nobody knows which hop wrote which.
    if len(given) > 1 or _TRACEPARENT.fullmatch(given[0].strip()) is None:
        logger().debug("trace_header_unusable", trunk=trunk.name, header=trunk.trace_header, given=len(given))
        return None
    return context_from_traceparent(given[0].strip())


def telling(traceparent: str, trunk: TrunkSettings) -> list[tuple[str, str]]:
    """The header that tells the other side our span; none where the trunk is not to be told."""
    if trunk.trace_header is None or not trunk.trace_send or not traceparent:
        return []
    return [(trunk.trace_header, traceparent)]
