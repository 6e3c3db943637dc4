"""NATS: one connection for audio, where stale is worse than lost, and one for control and records (DESIGN §4)."""

import re

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig
from nats.js.errors import BucketNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from services.common.busclient import BusClient
from services.common.frameclient import FrameClient
from services.common.telemetry import keeping


class BusUnavailable(ConnectionError):
    """No NATS server answers at the configured address."""


def caller_subject(call_id: str) -> str:
    return f"tandem.audio.{call_id}.caller"


def agent_subject(call_id: str) -> str:
    return f"tandem.audio.{call_id}.agent"


def replay_subject(call_id: str) -> str:
    return f"tandem.audio.{call_id}.replay"


def notice_subject(call_id: str) -> str:
    """CallNotice messages of a call; `*` for all calls."""
    return f"tandem.events.{call_id}"


async def connect_audio(url: str, name: str) -> FrameClient:
    """A connection that forgets what it could not send: pending_size=-1 keeps no buffer across a reconnect.

    Raises BusUnavailable.
    """
    client = FrameClient()
    # A server that has frozen is noticed within 6 s; nats-py's own 2 min are for data that waits.
    await _connect(client, url, f"{name} audio", pending_size=-1, ping_interval=2)
    await keeping.attach(client, preferred=False)
    return client


async def connect_control(url: str, name: str) -> BusClient:
    """A connection with ordinary buffering, for events, journal and requests. Raises BusUnavailable."""
    client = BusClient()
    await _connect(client, url, f"{name} control")
    await keeping.attach(client)
    return client


async def subscriptions_live(client: Client, within_s: int = 2) -> None:
    """Returns when the server knows the subscriptions made so far. Raises nats.errors.Error when it does not answer.

    nats-py 2.16 writes the PING of a flush ahead of commands that still wait for its writer: when the first flush is
    back the SUB has been written, when the second is back the server has it.
    """
    for _ in range(2):
        await client.flush(within_s)


async def _connect(client: BusClient, url: str, name: str, **options: int) -> None:
    servers = [one.strip() for one in url.split(",")]
    if any(one.startswith(("ws:", "wss:")) for one in servers):
        raise BusUnavailable(f"NATS over WebSocket ({without_password(url)}) is not supported; use nats:// or tls://")
    try:
        await client.connect(
            servers,
            name=name,
            connect_timeout=2,
            reconnect_time_wait=0.1,  # type: ignore[arg-type]  # a float in truth
            max_reconnect_attempts=3,  # for the first connection; a lost one is retried without end, below
            allow_reconnect=True,
            error_cb=_quiet,
            **options,  # type: ignore[arg-type]
        )
    except (nats.errors.Error, OSError) as error:
        if client.stripped:
            raise BusUnavailable(
                f"the NATS server at {without_password(url)} speaks no TLS: give it a certificate, or say nats://"
            ) from error
        raise BusUnavailable(f"no NATS server answers at {without_password(url)}: {error}") from error
    client.options["max_reconnect_attempts"] = -1


def without_password(url: str) -> str:
    """The servers' addresses, for people to read: users, passwords and tokens left out."""
    return re.sub(r"((?:^|,)\s*(?:[a-z]+://)?)[^,]*@", r"\1", url)


async def _quiet(_error: Exception) -> None:
    """Reconnects are seen by the services that miss their frames; nats-py would print each attempt."""


async def open_bucket(client: Client, bucket: str, ttl_s: float) -> KeyValue:
    """The KV bucket, made when it is not there. Entries go after ttl_s seconds."""
    jetstream: JetStreamContext = client.jetstream(timeout=5)
    try:
        return await jetstream.key_value(bucket)
    except (BucketNotFoundError, NotFoundError):
        return await jetstream.create_key_value(KeyValueConfig(bucket=bucket, ttl=ttl_s, history=1))
