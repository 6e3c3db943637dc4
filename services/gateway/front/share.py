"""One worker's share of a gateway."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.common.service import StartRefused
from services.common.settings import split_address
from services.gateway.access import Trunks
from services.gateway.admission import Slots
from services.gateway.settings import GatewaySettings
from services.gateway.sip.uri import format_host_port
from services.gateway.transports.transports import Locals, SipTransport


@dataclass(frozen=True, slots=True)
class Start:
    """What the front tells a worker when it starts it."""

    settings: GatewaySettings
    """The worker's own: see `settings_of`."""
    number: int
    secret: bytes
    """Seals the nonces of our challenges."""
    locals: Locals
    """Where the front listens."""
    slots: Path
    """The file of SharedSlots."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a gateway that is a worker gets from outside, and whom it tells how it is."""

    number: int
    transport: SipTransport
    trunks: Trunks
    secret: bytes
    slots: Slots
    on_ready: Callable[[str], None]
    """With the address of its CallControl."""
    on_draining: Callable[[], None]

    @property
    def watches_trunks(self) -> bool:
        """Whether this is the one that registers and pings."""
        return self.number == 0


def settings_of(settings: GatewaySettings, number: int) -> GatewaySettings:
    """Worker `number`'s: its part of the RTP ports, a free port for its CallControl, its own one for its metrics."""
    host, _ = split_address(settings.control_address)
    ports = rtp_ports(settings, number)
    own = {
        "workers": 1,
        "rtp_ports": (ports[0], ports[-1]),
        "control_address": format_host_port(host, 0),
        "metrics_address": metrics_address(settings, number),
    }
    return settings.model_copy(update=own)


def metrics_address(settings: GatewaySettings, number: int) -> str | None:
    """Where worker `number`'s metrics are: on the ports behind the front's, so that a scrape finds them all."""
    if settings.metrics_address is None:
        return None
    host, port = split_address(settings.metrics_address)
    return format_host_port(host, port and port + 1 + number)


def rtp_ports(settings: GatewaySettings, number: int) -> range:
    """The even ports of worker `number`: no two have one in common, so that a port rests between two calls."""
    first, last = settings.rtp_ports
    ports = range(first + first % 2, last + 1, 2)
    return ports[len(ports) * number // settings.workers : len(ports) * (number + 1) // settings.workers]


def check_rtp_ports(settings: GatewaySettings) -> None:
    """Raises StartRefused when a worker could run out of RTP ports before the gateway is full.

    Calls fall on workers by chance: four standard deviations more than the mean are for one in 30,000 full houses.
    """
    calls, share = settings.max_calls, 1 / settings.workers
    most = min(calls, math.ceil(calls * share + 4 * math.sqrt(calls * share * (1 - share))))
    least = min(len(rtp_ports(settings, number)) for number in range(settings.workers))
    if least < most:
        first, last = settings.rtp_ports
        wanted = 2 * most * settings.workers
        raise StartRefused(
            f"gateway.rtp_ports {first}-{last} give each of {settings.workers} workers {least} calls, and one may get "
            f"{most} of max_calls {calls}: widen rtp_ports to {wanted} ports, or lower workers or max_calls"
        )
