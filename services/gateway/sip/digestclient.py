"""Answers 401 and 407 (RFC 3261 §22.2, §22.3; RFC 7616 §3.4; RFC 8760)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from services.gateway.sip.digest import Algorithm, Credentials, DigestError, Signature, parse_digests, quoted
from services.gateway.sip.message import Message, Request, Response

MAX_ROUNDS = 5
"""Challenges answered for one request: a few proxies with a realm each, and a stale nonce on the way."""
_MAX_CHALLENGES = 16
_MAX_SPACES = 16
_MAX_CHAINS = 512
_ANSWERED_BY = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}

Fields = list[tuple[str, str]]
_Space = tuple[str, str]
"""Name of the header that carries the credentials, and realm."""


@dataclass(frozen=True, slots=True)
class _Challenge:
    """`algorithm_text` and `opaque` go back as they came; `qop` is the one that we use, None for RFC 2069."""

    realm: str
    nonce: str
    algorithm: Algorithm
    algorithm_text: str | None
    qop: str | None
    opaque: str | None
    stale: bool

    @classmethod
    def read(cls, parameters: dict[str, str]) -> _Challenge | None:
        """None when it is incomplete, or when we know its algorithm or none of its qops not."""
        algorithm = Algorithm.named(parameters.get("algorithm"))
        realm, nonce = parameters.get("realm"), parameters.get("nonce")
        offered = [qop.strip().lower() for qop in parameters.get("qop", "").split(",") if qop.strip()]
        qop = next((ours for ours in ("auth", "auth-int") if ours in offered), None)
        if algorithm is None or realm is None or nonce is None or (offered and qop is None):
            return None
        stale = parameters.get("stale", "").lower() == "true"
        return cls(realm, nonce, algorithm, parameters.get("algorithm"), qop, parameters.get("opaque"), stale)


@dataclass(slots=True)
class _Session:
    """The use of one nonce. One cnonce serves it whole: A1 of the -sess algorithms is bound to the first."""

    challenge: _Challenge
    credentials: Credentials
    cnonce: str
    count: int = 0

    def sign(self, method: str, uri: str, body: bytes) -> str:
        """The next header value: nc goes up."""
        challenge = self.challenge
        self.count += 1
        nc = f"{self.count & 0xFFFFFFFF:08x}"
        signature = Signature(
            challenge.algorithm,
            self.credentials.username,
            challenge.realm,
            challenge.nonce,
            uri,
            challenge.qop,
            nc,
            self.cnonce,
        )
        parts = [
            f"username={quoted(signature.username)}",
            f"realm={quoted(signature.realm)}",
            f"nonce={quoted(signature.nonce)}",
            f"uri={quoted(uri)}",
            f'response="{signature.response(self.credentials.password, method, body)}"',
        ]
        # algorithm, qop and nc stand without quotes (RFC 7616 §3.4); many registrars refuse them quoted.
        if challenge.algorithm_text is not None:
            parts.append(f"algorithm={challenge.algorithm_text}")
        if challenge.qop is not None or challenge.algorithm.session:
            parts.append(f"cnonce={quoted(self.cnonce)}")
        if challenge.qop is not None:
            parts += [f"qop={challenge.qop}", f"nc={nc}"]
        if challenge.opaque is not None:
            parts.append(f"opaque={quoted(challenge.opaque)}")
        return "Digest " + ", ".join(parts)


@dataclass(slots=True)
class _Chain:
    """One request with its repetitions. `cseq` is that of the last answered, its repetition has the next."""

    cseq: int
    rounds: int = 0
    forgave: bool = False
    """Whether a new nonce without stale=true was believed once."""


class DigestClient:
    """The credentials of one trunk at work; one for a trunk, or one for each request, as the caller likes.

    A trunk's client remembers the nonces: `authorize` then signs further requests before they are challenged.

    ACK and CANCEL are never challenged (RFC 3261 §22.1). The ACK for a 2xx repeats the INVITE's credentials:
    `credentials_of(invite)`. CANCEL and the ACK for other finals go without. BYE, re-INVITE and the rest are requests
    of their own: `authorize` them, or wait for their challenge.
    """

    def __init__(self, credentials: Sequence[Credentials], ids: Callable[[], str]) -> None:
        """`ids` gives an unguessable token a call, for cnonce. Credentials of a realm go before those of any."""
        self._credentials = sorted(credentials, key=lambda credentials: credentials.realm is None)
        self._ids = ids
        self._sessions: OrderedDict[_Space, _Session] = OrderedDict()
        self._chains: OrderedDict[tuple[str, str], _Chain] = OrderedDict()

    def answer(self, request: Request, response: Response) -> Fields | None:
        """The credentials headers for the repetition of `request`, in place of those it carries.

        The repetition has a new branch, the next CSeq, and all else as it was (RFC 3261 §8.1.3.5). None when there is
        nothing to be done: no challenge that we can answer, or our credentials were refused.
        """
        challenges = _strongest(response)
        answerable = {space: credentials for space in challenges if (credentials := self._for_realm(space[1]))}
        if not answerable:
            return None
        carried = dict(_carried(request))
        chain = self._chain(request, begun=bool(carried))
        chain.rounds += 1
        refused = [
            space for space in answerable if space in carried and _refused(carried[space], challenges[space], chain)
        ]
        if refused or chain.rounds > MAX_ROUNDS:
            for space in refused:
                self._sessions.pop(space, None)
            # The chain ends here; the caller's next request is a new one, and may try again.
            del self._chains[_chain_key(request)]
            return None
        for space, credentials in answerable.items():
            self._open(space, challenges[space], credentials)
        spaces = dict.fromkeys([*(space for space in carried if space in self._sessions), *answerable])
        return [(space[0], self._sessions[space].sign(request.method, request.uri, request.body)) for space in spaces]

    def authorize(self, method: str, uri: str, body: bytes = b"") -> Fields:
        """Credentials for a new request, from the nonces known; empty before the first challenge.

        If the nonce is too old by now the peer challenges again, and `answer` does the rest.
        """
        return [(space[0], session.sign(method, uri, body)) for space, session in self._sessions.items()]

    def _for_realm(self, realm: str) -> Credentials | None:
        return next((credentials for credentials in self._credentials if credentials.realm in (realm, None)), None)

    def _open(self, space: _Space, challenge: _Challenge, credentials: Credentials) -> None:
        known = self._sessions.get(space)
        if (
            known is not None
            and known.challenge.nonce == challenge.nonce
            and known.challenge.algorithm is challenge.algorithm
        ):
            # nc counts what was sent with the nonce, whoever was challenged with it.
            known.challenge = challenge
            return
        self._sessions[space] = _Session(challenge, credentials, self._ids())
        self._sessions.move_to_end(space)
        while len(self._sessions) > _MAX_SPACES:
            self._sessions.popitem(last=False)

    def _chain(self, request: Request, begun: bool) -> _Chain:
        """RFC 3261 §22.2 wants the repetition one CSeq up; who kept the CSeq is in the same chain too."""
        key = _chain_key(request)
        number = request.cseq.number
        chain = self._chains.pop(key, None)
        if chain is None or not begun or number - chain.cseq not in (0, 1):
            chain = _Chain(number)
        chain.cseq = number
        self._chains[key] = chain
        while len(self._chains) > _MAX_CHAINS:
            self._chains.popitem(last=False)
        return chain


def credentials_of(request: Request) -> Fields:
    """The credentials headers of `request` as they are: what the ACK for its 2xx repeats (RFC 3261 §22.1)."""
    return [(name, value) for name in _ANSWERED_BY.values() for value in request.headers.all(name)]


def _chain_key(request: Request) -> tuple[str, str]:
    return request.call_id, request.method


def _strongest(response: Response) -> dict[_Space, _Challenge]:
    """The challenges that we can answer, the strongest of each realm.

    RFC 8760 §2.4 lets the peer order them, but a strong one is no weaker for standing last. Both headers are looked
    at: a forking proxy joins its branches' challenges into one response (RFC 3261 §16.7).
    """
    found: dict[_Space, _Challenge] = {}
    if response.status not in (401, 407):
        return found
    for name, answered_by in _ANSWERED_BY.items():
        for parameters in _digests(response, name):
            challenge = _Challenge.read(parameters)
            if challenge is None:
                continue
            known = found.get((answered_by, challenge.realm))
            if known is None or challenge.algorithm.strength > known.algorithm.strength:
                found[answered_by, challenge.realm] = challenge
    return found


def _carried(request: Request) -> Iterator[tuple[_Space, dict[str, str]]]:
    for name in _ANSWERED_BY.values():
        for parameters in _digests(request, name):
            yield (name, parameters.get("realm", "")), parameters


def _digests(message: Message, name: str) -> Iterator[dict[str, str]]:
    for value in message.headers.all(name)[:_MAX_CHALLENGES]:
        try:
            yield from parse_digests(value)[:_MAX_CHALLENGES]
        except DigestError:
            continue


def _refused(sent: dict[str, str], challenge: _Challenge, chain: _Chain) -> bool:
    """Whether the peer says that the password is wrong, not that the nonce is old (RFC 7616 §3.3, "stale")."""
    if challenge.stale:
        return False
    if sent.get("nonce") == challenge.nonce:
        return True
    if sent.get("nc", "00000001") != "00000001":
        return False
    # Some servers change the nonce and forget to say stale. Once: twice is a wrong password, and locks accounts.
    forgave, chain.forgave = chain.forgave, True
    return forgave
