"""What the E-model says of calls over a network (ITU-T G.107), from what the network does and not from what the gateway
counted. Pure and seeded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from evals.caller.impairment import Impairment, Network
from services.gateway.emodel import G711, rate

PACKET_MS = 20.0
MOS_TOLERANCE = 0.15
"""A call of 30 s at 8 % loss is 1,500 packets: its MOS varies by 0.07 around what its network stands for."""
_PACKETS = 20_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """Shares in per cent. `late_pct` came when the listener waited for it no more."""

    lost_pct: float
    late_pct: float
    burst_ratio: float
    mos: float


def predict(network: Network, wait_ms: float | None, lost_pct: float | None = None, seed: int = 1) -> Prediction:
    """The conversational MOS of G.711 where the listener waits `wait_ms` for a packet that others overtook; None: for
    ever. `lost_pct` is what this run really lost, in place of what the network loses in the long run."""
    arrivals_ms = _arrivals_ms(network, seed)
    late = set() if wait_ms is None else _late(arrivals_ms, wait_ms)
    unheard = {number for number, at_ms in enumerate(arrivals_ms) if at_ms is None} | late
    burst_ratio = _burst_ratio(unheard)
    late_pct = 100 * len(late) / _PACKETS
    if lost_pct is None:
        lost_pct = 100 * (len(unheard) - len(late)) / _PACKETS
    mos = rate(G711, lost_pct + late_pct, burst_ratio, PACKET_MS).mos_conversational
    return Prediction(round(lost_pct, 3), round(late_pct, 3), round(burst_ratio, 3), round(mos, 3))


def _arrivals_ms(network: Network, seed: int) -> list[float | None]:
    """Of each packet's first copy; None where it is lost."""
    line = Impairment(network, seed, PACKET_MS)
    copies = [line.packet(b"") for _ in range(_PACKETS)]
    return [
        min((number * PACKET_MS + delay_ms for _, delay_ms in one), default=None) for number, one in enumerate(copies)
    ]


def _late(arrivals_ms: list[float | None], wait_ms: float) -> set[int]:
    """Those that came more than `wait_ms` behind the first packet from beyond them."""
    late: set[int] = set()
    beyond_ms = float("inf")
    for number in range(len(arrivals_ms) - 1, -1, -1):
        at_ms = arrivals_ms[number]
        if at_ms is not None:
            if at_ms > beyond_ms + wait_ms:
                late.add(number)
            beyond_ms = min(beyond_ms, at_ms)
    return late


def _burst_ratio(unheard: set[int]) -> float:
    """BurstR (G.107 §3.5)."""
    if not unheard or len(unheard) == _PACKETS:
        return 1.0
    runs = sum(gone for gone, _ in groupby(range(_PACKETS), key=unheard.__contains__))
    return len(unheard) / runs * (1 - len(unheard) / _PACKETS)
