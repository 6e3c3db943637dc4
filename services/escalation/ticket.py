"""A ticket: what the person, or whoever calls back, is to know. One JSON document."""

import secrets
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from services.escalation.transfer import Outcome
from tandem.v1.escalation_pb2 import EscalateStart


class TicketCall(BaseModel):
    call_id: str
    caller_number: str = Field(description="Empty when withheld.")
    caller_name: str
    called_number: str
    agent: str
    answered_at: datetime | None
    sip_call_id: str


class TicketTurn(BaseModel):
    index: int
    caller: str
    agent: str = Field(description="As heard by the caller, to the word.")
    interrupted: bool


class TicketTransfer(BaseModel):
    destination: str
    result: str = Field(default="pending", description="pending, transferred, returned, cancelled or call_gone.")
    reason: str = ""
    sip_status: int = 0
    presumed: bool = Field(
        default=False, description="Concluded from the call's end; the caller may have given up instead."
    )
    ended_at: datetime | None = None


class Delivery(BaseModel):
    """How the ticket's way to `url` stands; kept in Tandem's own store, never sent."""

    url: str
    attempts: int = 0
    error: str = Field(default="", description="Of the last attempt, for people.")


class Ticket(BaseModel):
    """Frozen: a change is a new ticket with the same id."""

    model_config = ConfigDict(frozen=True)

    id: str
    opened_at: datetime
    reason: str
    wish: str
    call: TicketCall
    conversation: list[TicketTurn]
    slots: dict[str, str]
    transfer: TicketTransfer
    trace_id: str = ""
    delivered: bool = Field(default=False, description="The ticket_url has it; true at once where there is none.")
    delivery: Delivery | None = None

    @classmethod
    def opened(cls, start: EscalateStart, now: datetime, trace_id: str = "") -> Self:
        facts = start.facts
        answered_us = facts.answered_unix_us
        return cls(
            id=new_id(now),
            opened_at=now,
            reason=start.reason,
            wish=start.wish,
            call=TicketCall(
                call_id=facts.call_id,
                caller_number=facts.caller_number,
                caller_name=facts.caller_name,
                called_number=facts.called_number,
                agent=facts.agent,
                answered_at=datetime.fromtimestamp(answered_us / 1e6, UTC) if answered_us else None,
                sip_call_id=facts.sip_call_id,
            ),
            conversation=[
                TicketTurn(
                    index=turn.index, caller=turn.caller_text, agent=turn.agent_text, interrupted=turn.interrupted
                )
                for turn in start.turns
            ],
            slots=dict(start.slots),
            transfer=TicketTransfer(destination=start.destination),
            trace_id=trace_id,
            delivered=not start.ticket_url,
            delivery=Delivery(url=start.ticket_url) if start.ticket_url else None,
        )

    def with_outcome(self, outcome: Outcome, now: datetime) -> "Ticket":
        transfer = self.transfer.model_copy(
            update={
                "result": outcome.result.value,
                "reason": outcome.reason,
                "sip_status": outcome.sip_status,
                "presumed": outcome.presumed,
                "ended_at": now,
            }
        )
        return self.model_copy(update={"transfer": transfer})

    def after_attempt(self, attempts: int, error: str) -> "Ticket":
        """`attempts` more were made to deliver it; `error` is empty when the last one did."""
        if self.delivery is None:
            return self
        delivery = self.delivery.model_copy(update={"attempts": self.delivery.attempts + attempts, "error": error})
        return self.model_copy(update={"delivered": self.delivered or not error, "delivery": delivery})

    def document(self) -> dict[str, Any]:
        """What is sent to the ticket_url: all but the delivery's own book-keeping."""
        return self.model_dump(mode="json", exclude={"delivered", "delivery"})


def new_id(now: datetime) -> str:
    """Sorts by time, can be read out on the telephone, is a valid NATS KV key: 20261104T153012-3f9a2c71."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
