"""A telephone not written by us rings the front desk, with Opus and SRTP: it is understood, and hears the answer.

The five services and their models are the real ones.
"""

import asyncio
from pathlib import Path

import nats
import numpy as np
import pytest
import pytest_asyncio
import soxr
from nats.aio.msg import Msg

from services.common.bus import notice_subject
from services.gateway.codecs.g711 import PCMU
from tandem.journal import journal_of
from tandem.plan import REPOSITORY
from tandem.stack import Stack
from tandem.v1.call_pb2 import CallNotice, CallOutcome, JournalTurn
from tests.integration.gateway.peers import baresip
from tests.integration.gateway.peers.baresip import OPUS, Baresip
from tests.integration.gateway.peers.ports import PHONE

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.skipif(not baresip.INSTALLED, reason="baresip (Debian: baresip-core) is not installed"),
]

QUESTION = REPOSITORY / "evals" / "voices" / "am_michael" / "hours.wav"
# Its sound begins with the call: by then the greeting is over, which takes 3 s.
SPEAKS_AFTER_S = 6.0
LOUD = 300
"""RMS of what is speech and no noise of a codec."""
SILENT = 5
CUT = 1000
"""Speech as loud as this does not stop or begin within 10 ms, unless a piece of it is missing."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory):
    desk = {"name": "desk", "allow": ["127.0.0.0/8"], "srtp": "required"}
    overrides = {"gateway": {"trunks": [desk]}}
    async with Stack.on_free_ports(tmp_path_factory.mktemp("stack"), overrides=overrides) as running:
        yield running


def question(rate_hz: int) -> np.ndarray:
    """Silence, then the caller's question, then nothing more."""
    data = QUESTION.read_bytes()
    pcm = np.frombuffer(PCMU.decode(data[data.index(b"data") + 8 :]), "<i2")
    speech = soxr.resample(pcm.astype(np.float64), 8000, rate_hz)
    return np.concatenate([np.zeros(round(SPEAKS_AFTER_S * rate_hz)), speech, np.zeros(60 * rate_hz)])


@pytest_asyncio.fixture(loop_scope="module")
async def phone(tmp_path: Path):
    one = Baresip(tmp_path / "ada", PHONE, "ada", codec=OPUS, speech=question)
    try:
        yield await one.start(";mediaenc=srtp-mand")
    finally:
        await one.close()


async def answered(stack: Stack, phone: Baresip, within_s: float = 40) -> JournalTurn:
    """Rings, and waits until it has heard the answer to its question."""
    turns: asyncio.Queue[JournalTurn] = asyncio.Queue()

    async def keep(message: Msg) -> None:
        notice = CallNotice.FromString(message.data)
        if notice.WhichOneof("notice") == "turn":
            turns.put_nowait(notice.turn)

    client = await nats.connect(stack.nats_url)
    try:
        await client.subscribe(notice_subject("*"), cb=keep)
        await client.flush()
        await phone.call(f"sip:front_desk@{stack.sip_address}")
        async with asyncio.timeout(within_s):
            while True:
                turn = await turns.get()
                if turn.caller_text:
                    return turn
    finally:
        await client.close()


async def test_it_asks_for_the_opening_hours(stack, phone):
    turn = await answered(stack, phone)
    await phone.command("hangup")
    closed = await phone.event("CALL_CLOSED")
    assert "opening hours" in turn.caller_text.lower()
    assert "open" in turn.agent_text.lower()
    journal = await journal_of(stack.nats_url, closed["id"], within_s=10)
    assert journal is not None
    assert journal.outcome == CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP
    assert journal.facts.audio.sample_rate_hz == 16000
    assert "SRTP is Enabled" in phone.printed
    assert "Set audio decoder: opus 48000Hz 2ch" in phone.printed

    heard = np.frombuffer(await phone.heard(), "<i2").astype(float)
    levels = levels_10_ms(heard, OPUS.rate_hz)
    greeting, answer = np.split(levels > LOUD, [round(SPEAKS_AFTER_S * 100)])
    assert min(greeting.sum(), answer.sum()) * 0.01 > 1, f"{greeting.sum()} and {answer.sum()} times 10 ms of speech"
    assert holes(levels) == []


def levels_10_ms(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """RMS of each 10 ms."""
    size = rate_hz // 100
    pieces = samples[: len(samples) // size * size].reshape(-1, size)
    return np.sqrt(np.mean(pieces**2, axis=1))


def holes(levels: np.ndarray) -> list[tuple[float, int]]:
    """Where speech stops at once and goes on at once: (second, ms), those longer than 40 ms."""
    silent = np.concatenate([[False], levels < SILENT, [False]])
    begins, ends = np.flatnonzero(~silent[:-1] & silent[1:]), np.flatnonzero(silent[:-1] & ~silent[1:])
    found = []
    for begin, end in zip(begins, ends, strict=True):
        # The slot at either edge may be half full.
        before, after = levels[max(begin - 2, 0) : begin], levels[end : end + 2]
        if 4 < end - begin < 100 and min(before.max(initial=0), after.max(initial=0)) > CUT:
            found.append((round(float(begin) / 100, 2), int(end - begin) * 10))
    return found
