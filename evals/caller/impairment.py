"""What a bad network does to a stream of packets, as netem would: pure and seeded, so that a run can be repeated.

Sources: Linux tc-netem(8); E. N. Gilbert, Capacity of a Burst-Noise Channel (1960), and E. O. Elliott (1963).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

MAX_DELAY_MS = 1000.0
_PARETO_SHAPE = 3.0


@dataclass(frozen=True, slots=True)
class Network:
    """Shares in per cent, times in ms."""

    loss: float = 0.0
    """Lost at random, each for itself."""
    burst: float = 0.0
    """Lost in bursts (Gilbert-Elliott: all is lost in the bad state, nothing in the good one): the share in the long
    run."""
    burst_length: float = 4.0
    """Packets of a burst, on average."""
    delay: float = 0.0
    """Of every packet."""
    jitter: float = 0.0
    """Standard deviation of what comes on top of `delay`; no packet is early, and none more than 4 times this late."""
    tail: str = "normal"
    """`normal`, cut at 0, or `pareto`: mostly small, seldom large."""
    reorder: float = 0.0
    """So many are kept back until the packet after the next has gone."""
    duplicate: float = 0.0
    """So many come twice."""

    def __post_init__(self) -> None:
        for name in ("loss", "burst", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name}={getattr(self, name):g}: expected 0 to 100 per cent")
        if self.burst and (self.burst_length < 1 or self.burst >= 100):
            raise ValueError("burst wants a share below 100 and a burst_length of 1 packet or more")
        for name in ("delay", "jitter"):
            if not 0 <= getattr(self, name) <= MAX_DELAY_MS:
                raise ValueError(f"{name}={getattr(self, name):g}: expected 0 to {MAX_DELAY_MS:g} ms")
        if self.tail not in ("normal", "pareto"):
            raise ValueError(f"tail={self.tail}: expected normal or pareto")

    @classmethod
    def parse(cls, text: str) -> Network:
        """`loss=5,jitter=40,reorder=2`. Raises ValueError, which names the part that is wrong."""
        known = {one.name for one in fields(cls)}
        given: dict[str, float | str] = {}
        for part in filter(None, (one.strip() for one in text.split(","))):
            name, _, value = part.partition("=")
            if name not in known:
                raise ValueError(f"{part}: expected one of {', '.join(sorted(known))}, such as loss=5")
            try:
                given[name] = value if name == "tail" else float(value)
            except ValueError:
                raise ValueError(f"{part}: expected a number, such as {name}=5") from None
        return cls(**given)  # type: ignore[arg-type]


class Impairment:
    """One direction of one call. Delays may take packets past each other: that is what jitter does on a real line."""

    def __init__(self, network: Network, seed: int, packet_ms: float = 20.0) -> None:
        self.network = network
        self._rng = random.Random(seed)
        self._packet_ms = packet_ms
        self._bad = False
        self.packets = self.lost = self.duplicated = self.reordered = 0

    def packet(self, packet: bytes) -> list[tuple[bytes, float]]:
        """What becomes of one packet: each copy and its delay in ms; nothing when it is lost."""
        network = self.network
        self.packets += 1
        # Every draw is made for every packet, so that one setting more leaves the rest of the run as it was.
        lost_alone, lost_in_burst = self._chance(network.loss), self._burst()
        reordered, twice = self._chance(network.reorder), self._chance(network.duplicate)
        delays = [network.delay + self._jitter(), network.delay + self._jitter()]
        if lost_alone or lost_in_burst:
            self.lost += 1
            return []
        if reordered:
            self.reordered += 1
            # Half a packet past the second that follows: behind one that is as late as it is.
            delays[0] += 1.5 * self._packet_ms
        out = [(packet, delays[0])]
        if twice:
            self.duplicated += 1
            out.append((packet, delays[1]))
        return out

    def _chance(self, percent: float) -> bool:
        return self._rng.random() * 100 < percent

    def _burst(self) -> bool:
        """A step of the chain: out of the bad state with 1/length, into it so that the share comes out."""
        share, step = self.network.burst / 100, self._rng.random()
        if not share:
            return False
        leave = 1 / self.network.burst_length
        enter = min(1.0, leave * share / (1 - share))
        self._bad = step >= leave if self._bad else step < enter
        return self._bad

    def _jitter(self) -> float:
        sigma = self.network.jitter
        if self.network.tail == "pareto":
            # Scaled to the standard deviation of this shape, which is sqrt(3)/2.
            value = (self._rng.paretovariate(_PARETO_SHAPE) - 1) * sigma / (3**0.5 / 2)
        else:
            value = self._rng.gauss(0, sigma)
        return min(max(value, 0.0), 4 * sigma)
