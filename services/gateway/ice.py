"""An ICE lite agent (RFC 8445 §2.5): it has one address that all can reach, answers checks and makes none.

The peer, a full agent, controls: it checks each of its addresses against ours and nominates one pair.
"""

from __future__ import annotations

from services.gateway import stun
from services.gateway.sip.ice import IceParameters
from services.gateway.stun import Attribute, MessageClass
from services.gateway.udp import Address

MAX_CHECKED = 16
"""Sources that are remembered. A full agent has few addresses; each came with a proof that it knows our password."""
REMEMBERED = 256
"""Checks whose transactions are remembered, with their sources: 20 min of consent checks, some 30 KB."""
CONSENT_LIMIT_US = 30_000_000
"""A full agent checks each 4 to 6 s for as long as it wants our media (RFC 7675 §5.1); without that it is gone."""


class IceLite:
    """One component (RTP with rtcp-mux) of one call. Nothing raises; times are microseconds on any clock.

    Until a source has shown in a check that it knows the password of our SDP, nothing that it sends is to be believed.
    """

    __slots__ = ("_checked", "_local", "_transactions", "last_check_us", "selected", "unauthentic")

    def __init__(self, parameters: IceParameters, now_us: int) -> None:
        self._local = parameters.local
        self._checked: dict[Address, None] = {}
        self._transactions: dict[bytes, Address] = {}
        self.selected: Address | None = None
        """Where to send: the source that the peer nominated last with USE-CANDIDATE (RFC 8445 §7.3.2)."""
        self.last_check_us = now_us
        """When the peer last proved that it is there and wants our media; at first the time of creation."""
        self.unauthentic = 0
        """Datagrams that were no check of our peer's: malformed, without the password, or another's sent again."""

    def receive(self, datagram: bytes, source: Address, now_us: int) -> bytes | None:
        """The response for `source`, when the datagram is an authentic check. Strangers get no answer at all.

        RFC 8489 §9.1.3 would answer them with 400 or 401. A full agent that has our SDP has no use for that, and a
        forged source address would get datagrams that it never asked for.
        """
        message = stun.parse(datagram)
        if message is None:
            self.unauthentic += 1
            return None
        if message.message_class is not MessageClass.REQUEST:
            # Keepalives (RFC 8445 §11) may be without credentials; responses belong to checks that we never make.
            return None
        # RFC 8445 §7.3: the first part is ours. The second is not compared: the peer's answer may still be on its way.
        username = message.username
        if username is None or username.partition(":")[0] != self._local.ufrag:
            self.unauthentic += 1
            return None
        password = self._local.password
        if not message.authentic(password):
            self.unauthentic += 1
            return None
        again = message.transaction_id in self._transactions
        if self._overheard(message.transaction_id, source):
            self.unauthentic += 1
            return None
        if unknown := message.not_understood:
            return stun.error(message, 420, password, unknown)
        if message.first(Attribute.ICE_CONTROLLED) is not None:
            # A lite agent never controls a full one (RFC 8445 §6.1.1), whatever the tie-breaker (§7.3.1.1).
            return stun.error(message, 487, password)
        try:
            response = stun.success(message, source, password)
        except ValueError:  # not an IP address: nothing that a socket tells
            return None
        if again:
            # Our answer was lost; or it is an old one, sent by who saw it under its source's address. It is no news:
            # neither a nomination nor consent.
            return response
        self._remember(source)
        if message.use_candidate:
            self.selected = source
        if self.selected is None or source == self.selected:
            self.last_check_us = now_us
        return response

    def believes(self, source: Address) -> bool:
        """Whether media and DTLS from there may be the peer's. Any checked pair, not only the selected (§12.2)."""
        return source in self._checked

    def consents(self, now_us: int) -> bool:
        """False when the peer has been silent for so long that sending must stop (RFC 7675 §5.1)."""
        return self.without_consent_us(now_us) < 0

    def without_consent_us(self, now_us: int) -> int:
        """For how long it has been so; less than 0 while the peer consents."""
        return now_us - self.last_check_us - CONSENT_LIMIT_US

    def _overheard(self, transaction_id: bytes, source: Address) -> bool:
        """Whether it is a check that came from elsewhere before.

        Nothing in a check says where it was sent from: whoever sees one on its way could send it again and have the
        media come to him, or to his victim. Each check has an ID of its own (RFC 8489 §6.1), sent again or not.
        """
        if self._transactions.setdefault(transaction_id, source) != source:
            return True
        if len(self._transactions) > REMEMBERED:
            del self._transactions[next(iter(self._transactions))]
        return False

    def _remember(self, source: Address) -> None:
        if source in self._checked:
            return
        if len(self._checked) >= MAX_CHECKED:
            del self._checked[next(oldest for oldest in self._checked if oldest != self.selected)]
        self._checked[source] = None
