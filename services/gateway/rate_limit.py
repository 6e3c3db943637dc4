"""Token buckets: new calls a second of a trunk, messages a second of a source."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_network

# Sources that are told apart at once. More can only be forged ones.
_MAX_SOURCES = 4096


class TokenBucket:
    """`rate` a second on average, `burst` at once. Times are seconds of any clock that does not go back."""

    __slots__ = ("burst", "rate", "refilled_at", "tokens")

    def __init__(self, rate: float, burst: float | None = None, now: float = 0.0) -> None:
        """`burst` is a second's worth by default, and at least one."""
        self.rate = rate
        self.burst = max(rate if burst is None else burst, 1.0)
        self.tokens = self.burst
        self.refilled_at = now

    def take(self, now: float) -> bool:
        """Takes a token, if there is one."""
        self.refill(now)
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def refill(self, now: float) -> None:
        if now > self.refilled_at:
            self.tokens = min(self.burst, self.tokens + (now - self.refilled_at) * self.rate)
            self.refilled_at = now


class SourceLimit:
    """`per_s` messages from an IPv4 address, or from a /64 of IPv6: a host has all the addresses of one.

    A source that has used up its share is not heard until the next second begins. Sources beyond the table's size
    share one count, so that nobody fills the memory.
    """

    def __init__(self, per_s: int, max_sources: int = _MAX_SOURCES) -> None:
        self.per_s = per_s
        self.refused = 0
        self._max_sources = max_sources
        self._second: float | None = None
        self._heard: dict[str, int] = {}

    def allows(self, source: str, now: float) -> bool:
        """Whether a message from this IP address is heard. `now` in seconds."""
        if self._second is None or not self._second <= now < self._second + 1.0:
            self._second = now
            self._heard.clear()
        key = _network_64(source) if ":" in source else source
        if key not in self._heard and len(self._heard) >= self._max_sources:
            key = ""
        heard = self._heard.get(key, 0)
        if heard >= self.per_s:
            self.refused += 1
            return False
        self._heard[key] = heard + 1
        return True


@lru_cache(maxsize=1024)
def _network_64(source: str) -> str:
    address = IPv6Address(source.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))
