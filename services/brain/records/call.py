"""A recorded call, as it is read."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """Texts are empty unless `record_pii` was on. Times are call times in µs, 0 where there is none."""

    index: int
    caller_text: str
    agent_text: str
    interrupted: bool
    ear_latency_ms: float | None
    parts_ms: dict[str, float]
    caller_started_us: int
    caller_stopped_us: int
    agent_started_us: int
    agent_stopped_us: int


@dataclass(frozen=True, slots=True)
class RecordedTool:
    """`state`: requested, succeeded or failed; `code` says of a failure which."""

    idempotency_key: str
    name: str
    state: str
    code: str
    turn_index: int
    arguments_json: str
    result_json: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Of all models and all brains of the call. `usd` as LiteLLM reckons."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """`number` is that of the person at the other end. `outcome` is empty and `ended_us` 0 while the call goes on, and
    for ever where its brain died and no other took over. `turns` and `tools` are empty in lists."""

    call_id: str
    agent: str
    agent_version: str
    trunk: str
    direction: str
    number: str
    own_number: str
    answered_unix_us: int
    ended_us: int
    outcome: str
    end_reason: str
    ticket_id: str
    transfer: str
    language: str
    sip_call_id: str
    trace_id: str
    quality: dict[str, float]
    cost: Cost = Cost()
    slowest_ms: float | None = None
    turns: tuple[RecordedTurn, ...] = ()
    tools: tuple[RecordedTool, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls; what is empty or None asks for nothing. `slow_ms`: a turn took so long or longer.

    `behind`: those that come after this one in the order they are told in, for the next page.
    """

    agent: str = ""
    since_unix_us: int | None = None
    until_unix_us: int | None = None
    outcome: str = ""
    number: str = ""
    slow_ms: float | None = None
    limit: int = 100
    behind: RecordedCall | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was erased."""

    call_ids: tuple[str, ...]
    turns: int
    tools: int
