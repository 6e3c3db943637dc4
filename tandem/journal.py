"""Reads call journals from the NATS KV bucket `calls`."""

import asyncio
import time

from nats.js.errors import BucketNotFoundError, KeyNotFoundError, NoKeysError, NotFoundError
from nats.js.kv import KeyValue

from services.common.bus import connect_control
from tandem.v1.call_pb2 import CallJournal, CallOutcome

BUCKET = "calls"
LOOK_EVERY_S = 0.1


async def journal_of(nats_url: str, sip_call_id: str, within_s: float = 5.0) -> CallJournal | None:
    """The journal of the call with this SIP Call-ID, ended if it ends within `within_s`; None when there is none.

    Raises BusUnavailable.
    """
    client = await connect_control(nats_url, "tandem journal")
    until = time.monotonic() + within_s
    found: CallJournal | None = None
    try:
        while True:
            found = await _find(client.jetstream(timeout=2), sip_call_id) or found
            ended = found is not None and found.outcome != CallOutcome.CALL_OUTCOME_UNSPECIFIED
            if ended or time.monotonic() > until:
                return found
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await client.close()


async def _find(jetstream: object, sip_call_id: str) -> CallJournal | None:
    bucket: KeyValue
    try:
        bucket = await jetstream.key_value(BUCKET)  # type: ignore[attr-defined]
        keys = await bucket.keys()
    except (BucketNotFoundError, NotFoundError, NoKeysError):
        return None
    for key in keys:
        try:
            entry = await bucket.get(key)
        except KeyNotFoundError:
            continue
        journal = CallJournal.FromString(entry.value or b"")
        if journal.facts.sip_call_id == sip_call_id:
            return journal
    return None
