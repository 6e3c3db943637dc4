"""Where tickets are kept and where they are sent: the NATS KV bucket `tickets`, and the operator's ticket_url."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import nats.errors
from nats.js.errors import KeyNotFoundError, NoKeysError
from nats.js.kv import KeyValue
from opentelemetry.trace import StatusCode, get_current_span
from pydantic import ValidationError

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.escalation.ticket import Ticket

BUCKET = "tickets"
RETRY_POST_AFTER_S = 0.3
# KV writes were refused for up to 9 s after a leader died.
AMEND_AFTER_S = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
# One round of re-delivery looks at so many of the newest tickets, and gives a dead URL up for the round after so many
# failures: a round must end.
ROUND_TICKETS = 500
ROUND_FAILURES_PER_URL = 3
# Younger tickets may be on their way from another process.
REDELIVER_OLDER_THAN = timedelta(seconds=15)


class TicketFiling:
    """A ticket is always stored first; what its ticket_url did not take is kept as `delivered: false` and tried again.

    Nothing here raises because a store or a URL is out of reach: a caller is on the line.
    """

    def __init__(self, bucket: KeyValue, http: httpx.AsyncClient, timeout_s: float, attempts: int) -> None:
        """`timeout_s` is for one POST, `attempts` for a ticket's whole life."""
        self._bucket = bucket
        self._http = http
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._log = logger()

    async def store(self, ticket: Ticket) -> bool:
        """Whether Tandem's own store has it now."""
        try:
            await self._bucket.create(ticket.id, ticket.model_dump_json().encode())
        except (nats.errors.Error, TimeoutError) as error:
            self._log.error("ticket_not_stored", ticket_id=ticket.id, call_id=ticket.call.call_id, error=repr(error))
            return False
        return True

    async def deliver(self, ticket: Ticket, traceparent: str = "") -> bool:
        """POSTs the ticket, with one retry, and notes how that went, also on the span that it is done in. True when the
        ticket_url has it."""
        if ticket.delivery is None:
            return False
        error = await self._post(ticket, traceparent)
        attempts = 1
        if error:
            await asyncio.sleep(RETRY_POST_AFTER_S)
            error = await self._post(ticket, traceparent)
            attempts = 2
        await self._amend(ticket, lambda stored: stored.after_attempt(attempts, error))
        if error:
            get_current_span().set_attribute(names.ERROR_TYPE, "not_delivered")
            get_current_span().set_status(StatusCode.ERROR, f"the ticket_url did not take it: {error}")
        return not error

    async def update(self, ticket: Ticket, change: Callable[[Ticket], Ticket], traceparent: str = "") -> None:
        """Changes the stored ticket; one that was delivered is sent again as PUT {ticket_url}/{id}.

        A receiver that does not take updates answers 404 or 405, and keeps what the POST brought.
        """
        changed = await self._amend(ticket, change)
        if changed is None or changed.delivery is None or not changed.delivered:
            return
        address = httpx.URL(changed.delivery.url)
        address = address.copy_with(path=f"{address.path.rstrip('/')}/{changed.id}")
        error = await self._send("PUT", address, changed, traceparent)
        if error:
            self._log.info("ticket_update_not_taken", ticket_id=changed.id, url=str(address), error=error)

    async def redeliver(self, now: datetime | None = None) -> int:
        """One round over undelivered tickets, the least tried first; returns how many were delivered."""
        now = now or datetime.now(UTC)
        waiting = await self._undelivered(now)
        failures: Counter[str] = Counter()
        delivered = 0
        for ticket in sorted(waiting, key=lambda one: (one.delivery.attempts if one.delivery else 0, one.id)):
            if ticket.delivery is None or failures[ticket.delivery.url] >= ROUND_FAILURES_PER_URL:
                continue
            error = await self._post(ticket, "")
            failures[ticket.delivery.url] += bool(error)
            delivered += not error
            await self._amend(ticket, lambda stored, error=error: stored.after_attempt(1, error))  # type: ignore[misc]
        return delivered

    async def _undelivered(self, now: datetime) -> list[Ticket]:
        found = []
        try:
            newest = sorted(await self._bucket.keys(), reverse=True)[:ROUND_TICKETS]
            for key in newest:
                ticket = await self._read(key)
                if ticket is None or ticket.delivered or ticket.delivery is None:
                    continue
                if ticket.delivery.attempts < self._attempts and now - ticket.opened_at >= REDELIVER_OLDER_THAN:
                    found.append(ticket)
        except NoKeysError:
            return []
        except (nats.errors.Error, TimeoutError) as error:
            self._log.warning("tickets_not_read", error=repr(error))
        return found

    async def _read(self, key: str) -> Ticket | None:
        try:
            entry = await self._bucket.get(key)
            return Ticket.model_validate_json(entry.value or b"")
        except KeyNotFoundError:
            return None
        except ValidationError as error:
            self._log.warning("ticket_not_understood", ticket_id=key, error=str(error))
            return None

    async def _amend(self, ticket: Ticket, change: Callable[[Ticket], Ticket]) -> Ticket | None:
        """Compare-and-set of the stored ticket, made from `ticket` when it could not be stored before."""
        problem = ""
        for pause in AMEND_AFTER_S:
            await asyncio.sleep(pause)
            try:
                try:
                    entry = await self._bucket.get(ticket.id)
                except KeyNotFoundError:
                    changed = change(ticket)
                    await self._bucket.create(ticket.id, changed.model_dump_json().encode())
                    return changed
                changed = change(Ticket.model_validate_json(entry.value or b""))
                await self._bucket.update(ticket.id, changed.model_dump_json().encode(), last=entry.revision)
                return changed
            except (nats.errors.Error, TimeoutError) as error:
                problem = repr(error)
        self._log.error("ticket_not_updated", ticket_id=ticket.id, call_id=ticket.call.call_id, error=problem)
        return None

    async def _post(self, ticket: Ticket, traceparent: str) -> str:
        """Why the ticket_url did not take it; empty when it did."""
        assert ticket.delivery is not None
        error = await self._send("POST", ticket.delivery.url, ticket, traceparent)
        if error:
            self._log.warning(
                "ticket_not_delivered",
                ticket_id=ticket.id,
                call_id=ticket.call.call_id,
                url=ticket.delivery.url,
                error=error,
            )
        return error

    async def _send(self, method: str, url: str | httpx.URL, ticket: Ticket, traceparent: str) -> str:
        headers = {"Idempotency-Key": ticket.id} if method == "POST" else {}
        if traceparent:
            headers["traceparent"] = traceparent
        span = get_current_span()
        span.set_attribute(names.HTTP_METHOD, method)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._http.request(method, url, json=ticket.document(), headers=headers)
        except TimeoutError:
            return f"no answer in {self._timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return str(error) or type(error).__name__
        span.set_attribute(names.HTTP_STATUS, response.status_code)
        return "" if response.is_success else f"{response.status_code} {response.reason_phrase}"
