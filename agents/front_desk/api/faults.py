"""What a real booking system does on a bad day, on request: for tests of those who call it.

Off unless the API is started with --faults, and told only from this machine: PUT /faults sets how often what happens,
PUT /faults/{phone} what happens to the next writes for one phone number, one after the other, and the header
X-Fault: <kind> what happens to that one request.
"""

import asyncio
import ipaddress
import json
import random
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HUGE_BYTES = 10 * 1024 * 1024
_PART = b"x" * 65536


class Kind(StrEnum):
    """What goes wrong with one request. Those marked (done) are carried out before they go wrong."""

    NONE = "none"
    ERROR = "error"  # 500, nothing done
    ERROR_AFTER = "error_after"  # (done) 500 all the same
    LOST = "lost"  # (done) the connection breaks in the middle of the answer
    NEVER = "never"  # no answer, nothing done
    NEVER_AFTER = "never_after"  # (done) no answer
    MALFORMED = "malformed"  # (done) half of the JSON
    HUGE = "huge"  # (done) 10 MB


class Rates(BaseModel):
    """How often, 0 to 1 each and 1 in all, and how long any answer takes: a log-normal distribution, in ms."""

    model_config = ConfigDict(extra="forbid")
    p50_ms: float = Field(default=0.0, ge=0, le=60_000)
    p95_ms: float = Field(default=0.0, ge=0, le=60_000)
    rates: dict[Kind, float] = Field(default_factory=dict)
    writes_only: bool = True
    seed: int | None = None

    @model_validator(mode="after")
    def _shares_of_one(self) -> "Rates":
        if sum(self.rates.values()) > 1 or any(rate < 0 for rate in self.rates.values()):
            raise ValueError("expected rates from 0 to 1, and not more than 1 in all")
        return self


class Plan(BaseModel):
    """What happens to the next writes for one phone number."""

    model_config = ConfigDict(extra="forbid")
    kinds: list[Kind] = Field(max_length=100)


@dataclass(slots=True)
class Faults:
    """Decides what goes wrong. Pure but for its own random numbers."""

    rates: Rates = field(default_factory=Rates)
    plans: dict[str, list[Kind]] = field(default_factory=dict)
    happened: dict[Kind, int] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)

    def set_rates(self, rates: Rates) -> None:
        self.rates = rates
        self._random = random.Random(rates.seed)

    def decide(self, writes: bool, phone: str, asked: str) -> tuple[Kind, float]:
        """The kind, and the seconds until the answer. `asked` is the header's word, "" without one.

        A header comes before a plan, a plan before the rates. Raises ValueError for a header that names no kind.
        """
        kind = Kind.NONE
        if asked:
            kind = Kind(asked)
        elif writes and self.plans.get(phone):
            kind = self.plans[phone].pop(0)
        elif writes or not self.rates.writes_only:
            kind = self._drawn()
        if kind is not Kind.NONE:
            self.happened[kind] = self.happened.get(kind, 0) + 1
        return kind, self._latency_s()

    def _drawn(self) -> Kind:
        at = self._random.random()
        for kind, rate in self.rates.rates.items():
            at -= rate
            if at < 0:
                return kind
        return Kind.NONE

    def _latency_s(self) -> float:
        median, high = self.rates.p50_ms, self.rates.p95_ms
        if not median or high <= median:
            return median / 1000
        # Of a log-normal distribution the 95th percentile lies 1.645 deviations above the median.
        spread = (high / median) ** (self._random.gauss(0, 1) / 1.645)
        return float(min(median * spread, 60_000) / 1000)


class FaultInjection:
    """ASGI middleware; leaves /faults, /ledger, /duplicates and /health alone."""

    def __init__(self, app: App, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(("/faults", "/ledger", "/duplicates", "/health")):
            if scope["type"] == "http" and scope["path"].startswith("/faults") and not _from_here(scope):
                await _answer(send, 403, b'{"error": {"code": "forbidden", "message": "only from this machine"}}')
                return
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        asked = headers.get(b"x-fault", "") if _from_here(scope) else ""
        try:
            kind, after_s = self._faults.decide(scope["method"] != "GET", _phone(body), asked)
        except ValueError:
            kind, after_s = Kind.NONE, 0.0
        await asyncio.sleep(after_s)
        if kind is Kind.ERROR:
            await _answer(send, 500, b'{"error": {"code": "injected", "message": "injected"}}')
        elif kind is Kind.NEVER:
            await _gone(receive)
        else:
            await self._carry_out(kind, scope, body, receive, send)

    async def _carry_out(self, kind: Kind, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        told: list[Message] = []

        async def once() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            told.append(message)

        await self._app(scope, once, keep)
        whole = b"".join(message.get("body", b"") for message in told)
        match kind:
            case Kind.NONE:
                for message in told:
                    await send(message)
            case Kind.ERROR_AFTER:
                await _answer(send, 500, b'{"error": {"code": "injected", "message": "injected"}}')
            case Kind.LOST:
                # Fewer bytes than announced: the server closes the connection.
                await _answer(send, told[0]["status"], whole[: len(whole) // 2], announced=len(whole))
            case Kind.NEVER_AFTER:
                await _gone(receive)
            case Kind.MALFORMED:
                await _answer(send, told[0]["status"], whole[: len(whole) // 2])
            case Kind.HUGE:
                await _huge(send, told[0]["status"])


def offer(app: FastAPI, faults: Faults) -> None:
    """Adds /faults to `app`, and what goes wrong to everything else."""

    @app.put("/faults")
    def rates(wanted: Rates) -> dict[str, Any]:
        faults.set_rates(wanted)
        return told()

    @app.put("/faults/{phone}")
    def plan(phone: str, wanted: Plan) -> dict[str, Any]:
        faults.plans[phone] = list(wanted.kinds)
        return {"phone": phone, "kinds": wanted.kinds}

    @app.get("/faults")
    def told() -> dict[str, Any]:
        return {**faults.rates.model_dump(), "happened": faults.happened}

    app.add_middleware(FaultInjection, faults=faults)


def _from_here(scope: Scope) -> bool:
    host = (scope.get("client") or ("",))[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _phone(body: bytes) -> str:
    try:
        asked = json.loads(body or b"{}")
    except ValueError:
        return ""
    return str(asked.get("phone", "")) if isinstance(asked, dict) else ""


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _gone(receive: Receive) -> None:
    """Until the other side has given up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, body: bytes, announced: int | None = None) -> None:
    length = str(len(body) if announced is None else announced).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    more = announced is not None and announced > len(body)
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _huge(send: Send, status: int) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(HUGE_BYTES).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for at in range(0, HUGE_BYTES, len(_PART)):
        await send({"type": "http.response.body", "body": _PART, "more_body": at + len(_PART) < HUGE_BYTES})
