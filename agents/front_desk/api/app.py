"""The booking system's HTTP interface. Times are clinic time without offset; errors are {"error": {"code", "message"}}.

A write may carry an Idempotency-Key: the same key again gets the same answer and writes nothing. A ticket that has an
id of its own needs none: POST files it once, PUT changes it.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel, ConfigDict, Field

from agents.front_desk.api.faults import Faults, offer
from agents.front_desk.api.hours import DAY_NAMES, SLOT, SUMMARY, is_start, opening, spoken_hours, starts
from agents.front_desk.api.store import Store, Writing

# As many as a caller can keep in mind.
OFFERED = 3
DAYS_AHEAD = 14

Key = Annotated[str, Header(alias="Idempotency-Key", max_length=200)]
TraceParent = Annotated[str, Header(max_length=200)]


class Refusal(Exception):
    """An answer other than success; `details` go beside code and message."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message, **details}}


class Booking(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=2, max_length=100)
    phone: str = Field(pattern=r"^[0-9]{7,15}$")
    start: datetime


class Move(BaseModel):
    model_config = ConfigDict(extra="forbid")
    start: datetime


class Ticket(BaseModel):
    """What a person must know to ring back; a caller's system may send more."""

    model_config = ConfigDict(extra="allow")
    id: str = Field(default="", max_length=200)
    call_id: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)


def create_app(
    database: str,
    timezone: str = "Europe/London",
    clock: Callable[[], datetime] | None = None,
    faults: Faults | None = None,
) -> FastAPI:
    """The system over one database file. `clock` gives clinic time, naive; by default the real one.

    With `faults` it goes wrong as it is told to: see faults.py.
    """
    store = Store(database)
    zone = ZoneInfo(timezone)
    now = clock or (lambda: datetime.now(zone).replace(tzinfo=None))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    quiet: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
    app = FastAPI(title="Riverside Clinic", lifespan=lifespan, docs_url=None, redoc_url=None, telemetry=quiet)

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return JSONResponse(refusal.body, refusal.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return JSONResponse({"error": {"code": "invalid_request", "message": told}}, 422)

    def local(moment: datetime) -> datetime:
        moment = moment.astimezone(zone) if moment.tzinfo else moment
        return moment.replace(tzinfo=None)

    def once(key: str, request: Any, write: Callable[[Writing], tuple[int, Any]]) -> JSONResponse:
        """Carry out a write, or give the answer that its key already got (200 instead of 201)."""
        asked = json.dumps(request, default=str, sort_keys=True)
        with store.writing() as writing:
            if key and (before := writing.answered(key)):
                if before[0] != asked:
                    raise Refusal(422, "key_reused", "this Idempotency-Key came with another request before")
                writing.note_repeat(now(), key)
                return JSONResponse(before[2], 200)
            status, body = write(writing)
            if key:
                writing.remember(key, asked, status, body)
            return JSONResponse(body, status)

    def check_bookable(writing: Writing, start: datetime, but: int | None = None) -> None:
        """Raises Refusal unless an appointment (other than `but`) can begin at `start`."""
        if start <= now():
            raise Refusal(422, "in_the_past", f"{start.isoformat()} has passed")
        if not is_start(start):
            hours = spoken_hours(start.date())
            half_hours = "" if opening(start.date()) is None else " Appointments begin on the hour and the half hour."
            code = "outside_hours"
            raise Refusal(422, code, f"no appointment can begin at {start.isoformat()}", hours=hours + half_hours)
        if writing.holder(start.isoformat()) not in (None, but):
            message = f"{start.isoformat()} is taken"
            raise Refusal(409, "slot_taken", message, alternatives=[])

    def free(day: date, part: str | None = None) -> list[datetime]:
        taken = store.taken(day.isoformat())
        return [start for start in starts(day, part) if start > now() and start.isoformat() not in taken]

    def alternatives(start: datetime) -> list[str]:
        """The free times nearest to `start`: on its day, else on the days after."""
        for days in range(DAYS_AHEAD):
            day = start.date() + timedelta(days=days)
            near = sorted(free(day), key=lambda one: abs(one - datetime.combine(day, start.time())))[:OFFERED]
            if near:
                return [one.isoformat() for one in sorted(near)]
        return []

    def with_alternatives(start: datetime, answer: Callable[[], JSONResponse]) -> JSONResponse:
        try:
            return answer()
        except Refusal as refusal:
            if refusal.status == 409:
                # Outside the transaction, for it reads the calendar.
                refusal.body["error"]["alternatives"] = alternatives(start)
            raise

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/hours")
    def hours(date: date | None = None) -> dict[str, Any]:
        week = []
        for number, name in enumerate(DAY_NAMES):
            hours_of_day = opening(datetime(2024, 1, 1 + number).date())  # 2024 began on a Monday
            times = (
                {"opens": hours_of_day.opens.strftime("%H:%M"), "closes": hours_of_day.closes.strftime("%H:%M")}
                if (hours_of_day)
                else {}
            )
            week.append({"day": name, "open": hours_of_day is not None, **times})
        asked = {"date": date.isoformat(), **week[date.weekday()]} if date else None
        return {"summary": SUMMARY, "week": week, "asked": asked}

    @app.get("/slots")
    def slots(
        date: date | None = None, part: Literal["morning", "afternoon", "evening"] | None = None
    ) -> dict[str, Any]:
        """Some free times on a day, spread over it; without a day, the next ones."""
        found: list[datetime] = []
        days = [date] if date else [now().date() + timedelta(days=n) for n in range(DAYS_AHEAD)]
        for day in days:
            found += free(day, part)
            if len(found) >= OFFERED:
                break
        if date and len(found) > OFFERED:
            found = [found[n * (len(found) - 1) // (OFFERED - 1)] for n in range(OFFERED)]
        return {"slots": [start.isoformat() for start in found[:OFFERED]]}

    @app.post("/appointments")
    def book(booking: Booking, idempotency_key: Key = "", traceparent: TraceParent = "") -> JSONResponse:
        start = local(booking.start)

        def write(writing: Writing) -> tuple[int, Any]:
            check_bookable(writing, start)
            body = writing.book(booking.name, booking.phone, start.isoformat())
            writing.note(now(), "book", idempotency_key, traceparent, body)
            return 201, body

        request = ["book", booking.name, booking.phone, start]
        with store.writing() as writing:
            # Before the slot is looked at: that it is taken refuses the second booking, and hides that it was tried.
            writing.note_duplicate(now(), idempotency_key, booking.name, booking.phone, start.isoformat())
        return with_alternatives(start, lambda: once(idempotency_key, request, write))

    @app.get("/appointments")
    def find(
        phone: Annotated[str, Query(pattern=r"^[0-9]{0,15}$")] = "", name: Annotated[str, Query(max_length=100)] = ""
    ) -> dict[str, Any]:
        """The coming appointments of a caller. Without phone and name, all of them: this is a sample."""
        sql = (
            "SELECT * FROM appointment WHERE start > ? AND (? = '' OR phone = ?) AND (? = '' OR lower(name) = lower(?))"
        )
        values = (now().isoformat(), phone, phone, name.strip(), name.strip())
        return {"appointments": store.rows(f"{sql} ORDER BY start", *values)}

    @app.patch("/appointments/{identity}")
    def move(identity: int, wanted: Move, idempotency_key: Key = "", traceparent: TraceParent = "") -> JSONResponse:
        start = local(wanted.start)

        def write(writing: Writing) -> tuple[int, Any]:
            before = existing(writing, identity)
            check_bookable(writing, start, but=identity)
            writing.move(identity, start.isoformat())
            body = {**before, "start": start.isoformat()}
            writing.note(now(), "move", idempotency_key, traceparent, {**body, "from": before["start"]})
            return 200, body

        return with_alternatives(start, lambda: once(idempotency_key, ["move", identity, start], write))

    @app.delete("/appointments/{identity}")
    def cancel(identity: int, idempotency_key: Key = "", traceparent: TraceParent = "") -> JSONResponse:
        def write(writing: Writing) -> tuple[int, Any]:
            before = existing(writing, identity)
            writing.cancel(identity)
            writing.note(now(), "cancel", idempotency_key, traceparent, before)
            return 200, {**before, "cancelled": True}

        return once(idempotency_key, ["cancel", identity], write)

    def existing(writing: Writing, identity: int) -> dict[str, Any]:
        found = writing.appointment(identity)
        if found is None:
            raise Refusal(404, "not_found", f"there is no appointment {identity}")
        return found

    def put(ticket: Ticket, key: str, traceparent: str) -> JSONResponse:
        """The ticket as it now stands; one that says nothing new leaves no trace in the ledger."""
        document = ticket.model_dump()
        with store.writing() as writing:
            before = writing.ticket(ticket.id)
            if before is None:
                writing.file_ticket(document, now())
            elif before != document:
                writing.change_ticket(ticket.id, document)
            if before != document:
                writing.note(now(), "ticket", key, traceparent, document)
        return JSONResponse({"id": ticket.id}, 201 if before is None else 200)

    @app.post("/tickets")
    def file_ticket(ticket: Ticket, idempotency_key: Key = "", traceparent: TraceParent = "") -> JSONResponse:
        if ticket.id:
            # Sent again because our answer was lost, it may have moved on: the same ticket, not another request.
            return put(ticket, idempotency_key, traceparent)

        def write(writing: Writing) -> tuple[int, Any]:
            body = ticket.model_dump()
            identity = writing.file_ticket(body, now())
            writing.note(now(), "ticket", idempotency_key, traceparent, {**body, "id": identity})
            return 201, {"id": identity}

        return once(idempotency_key, ["ticket", ticket.model_dump()], write)

    @app.put("/tickets/{identity}")
    def put_ticket(
        identity: Annotated[str, Path(max_length=200)], ticket: Ticket, traceparent: TraceParent = ""
    ) -> JSONResponse:
        """Replaces a ticket, or files it; `identity` is the id that its sender gave it."""
        if ticket.id not in ("", identity):
            raise Refusal(422, "other_id", f"the ticket calls itself {ticket.id!r}, its address says {identity!r}")
        return put(ticket.model_copy(update={"id": identity}), "", traceparent)

    @app.get("/tickets")
    def tickets() -> dict[str, Any]:
        """Each with its sender's id where it has one."""
        found = []
        for row in store.rows("SELECT * FROM ticket ORDER BY id"):
            body = json.loads(row["body"])
            found.append({**body, "id": body.get("id") or row["id"], "created": row["created"]})
        return {"tickets": found}

    @app.get("/ledger")
    def ledger() -> dict[str, Any]:
        """Every write that happened, in order: for tests and for `tandem trace`. `repeats` are the times at which its
        key came again and got the same answer."""
        rows = store.rows("SELECT * FROM ledger ORDER BY id")
        repeats: dict[str, list[str]] = {}
        for row in store.rows("SELECT * FROM repeat ORDER BY id"):
            repeats.setdefault(row["key"], []).append(row["at"])
        told = [{**row, "detail": json.loads(row["detail"]), "repeats": repeats.get(row["key"], [])} for row in rows]
        return {"ledger": told}

    @app.get("/duplicates")
    def duplicates() -> dict[str, Any]:
        """The bookings asked for once more by the same caller for the same time, under another key or none: each one
        is a caller who would have come twice, had the slot not been taken."""
        return {"duplicates": store.rows("SELECT * FROM duplicate ORDER BY id")}

    if faults is not None:
        offer(app, faults)
    return app


__all__ = ["SLOT", "create_app"]
