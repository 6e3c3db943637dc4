"""The tables as SQLAlchemy knows them; migrations/ makes them."""

from sqlalchemy import BigInteger, Boolean, Column, Double, MetaData, Table, Text

METADATA = MetaData()


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _numbers(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


_VERSION = ("owner_epoch", "sequence")

CALLS = Table(
    "calls",
    METADATA,
    Column("call_id", Text, primary_key=True),
    *_numbers(*_VERSION, "answered_unix_us", "ended_us", "memory_days"),
    *_texts("agent", "agent_version", "trunk", "direction", "number", "number_key", "own_number", "sip_call_id"),
    *_texts("trace_id", "language", "outcome", "end_reason", "ticket_id", "transfer", "quality"),
)
TURNS = Table(
    "call_turns",
    METADATA,
    Column("call_id", Text, primary_key=True),
    Column("turn_index", BigInteger, primary_key=True),
    *_numbers(*_VERSION, "caller_started_us", "caller_stopped_us", "agent_started_us", "agent_stopped_us"),
    *_texts("caller_text", "agent_text", "parts_ms"),
    Column("interrupted", Boolean, nullable=False),
    Column("ear_latency_ms", Double),
)
TOOLS = Table(
    "call_tools",
    METADATA,
    Column("call_id", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    *_numbers(*_VERSION, "turn_index"),
    *_texts("name", "state", "code", "arguments_json", "result_json"),
)
COSTS = Table(
    "call_costs",
    METADATA,
    Column("call_id", Text, primary_key=True),
    Column("owner_epoch", BigInteger, primary_key=True),
    *_numbers("sequence", "input_tokens", "cached_tokens", "output_tokens", "model_calls", "micro_usd"),
)
ERASURES = Table(
    "erasures",
    METADATA,
    Column("salt", Text, primary_key=True),
    *_texts("number_hash"),
    *_numbers("erased_unix_us"),
)
