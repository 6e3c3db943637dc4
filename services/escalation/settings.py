"""The escalation service's settings."""

from pydantic import Field

from services.common.settings import ServiceSettings


class EscalationSettings(ServiceSettings):
    address: str = Field("127.0.0.1:7305", description="host:port for gRPC. Loopback: the port has no password.")
    ring_timeout_ms: int = Field(
        30_000, ge=1_000, le=180_000, description="Where the brain names none: six rings, then voicemail would answer."
    )
    ticket_ttl_days: int = Field(90, ge=1, description="How long tickets stay in Tandem's own store.")
    ticket_timeout_ms: int = Field(
        3_000, ge=100, description="For one POST; the person should have it before they pick up."
    )
    ticket_redeliver_s: float = Field(
        60, gt=0, description="Between rounds that deliver what could not be: a CRM restarts within minutes."
    )
    ticket_attempts: int = Field(
        100, ge=1, description="Then the ticket stays undelivered in the store: a wrong URL must not be asked for ever."
    )
    drain_ms: int = Field(
        2_000, ge=0, description="How long a transfer under way may take to end when the service is stopped."
    )
