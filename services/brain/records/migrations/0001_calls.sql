-- One dialect for SQLite and PostgreSQL. Times are microseconds: *_unix_us since 1970, the others call time.
-- (owner_epoch, sequence) is the version of a row: a later one takes its place, an earlier one is passed over.

CREATE TABLE calls (
    call_id TEXT PRIMARY KEY,
    owner_epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    agent TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    trunk TEXT NOT NULL,
    direction TEXT NOT NULL,
    number TEXT NOT NULL,
    number_key TEXT NOT NULL,
    own_number TEXT NOT NULL,
    answered_unix_us BIGINT NOT NULL,
    sip_call_id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    language TEXT NOT NULL,
    ended_us BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    end_reason TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    transfer TEXT NOT NULL,
    quality TEXT NOT NULL,
    memory_days BIGINT NOT NULL
);

CREATE INDEX calls_by_time ON calls (answered_unix_us);

CREATE INDEX calls_by_number ON calls (number_key, answered_unix_us);

CREATE TABLE call_turns (
    call_id TEXT NOT NULL,
    turn_index BIGINT NOT NULL,
    owner_epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    caller_text TEXT NOT NULL,
    agent_text TEXT NOT NULL,
    interrupted BOOLEAN NOT NULL,
    ear_latency_ms DOUBLE PRECISION,
    parts_ms TEXT NOT NULL,
    caller_started_us BIGINT NOT NULL,
    caller_stopped_us BIGINT NOT NULL,
    agent_started_us BIGINT NOT NULL,
    agent_stopped_us BIGINT NOT NULL,
    PRIMARY KEY (call_id, turn_index)
);

CREATE TABLE call_tools (
    call_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    owner_epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    code TEXT NOT NULL,
    turn_index BIGINT NOT NULL,
    arguments_json TEXT NOT NULL,
    result_json TEXT NOT NULL,
    PRIMARY KEY (call_id, idempotency_key)
);

-- A row an owner: a brain that takes a call over knows nothing of what the one before spent.
CREATE TABLE call_costs (
    call_id TEXT NOT NULL,
    owner_epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    model_calls BIGINT NOT NULL,
    micro_usd BIGINT NOT NULL,
    PRIMARY KEY (call_id, owner_epoch)
);

-- Events of calls that were erased may still be under way. Of the number only a salted hash is kept, and that no longer
-- than an event can be.
CREATE TABLE erasures (
    salt TEXT NOT NULL,
    number_hash TEXT NOT NULL,
    erased_unix_us BIGINT NOT NULL,
    PRIMARY KEY (salt)
);
