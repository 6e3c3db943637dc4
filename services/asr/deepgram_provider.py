"""Passes done by a Deepgram-style streaming service: one socket a call.

Our own voice activity decides utterances. Each pass sends what of its clip was not sent yet; a final or a head start
then has the service finish what it holds (`Finalize`), a partial takes the words there are.
"""

import asyncio
import contextlib
import json
from concurrent.futures import TimeoutError as NotInTime
from urllib.parse import urlencode

import aiohttp

from services.asr.deepgram_results import Results
from services.asr.language import AUTO
from services.asr.provider import Guarded, ProviderFailed, ProviderOptions
from services.asr.schedule import Kind
from services.asr.segment import Segment
from services.asr.whisper import Transcript
from services.common.telemetry import log

KEEP_ALIVE_S = 4.0
"""The service closes a socket after 10 s of silence."""
SPARE_S = 0.5
"""What the waiting thread gives the event loop over the pass's own time-out."""
LITTLE_S, LITTLE_WAIT_S = 0.3, 0.4
AUDIO_AT_ONCE = 16_000
"""Bytes: a second of telephone speech."""


class DeepgramCall:
    """One call's stream. A socket that breaks, answers nonsense or not at all is closed; the next pass opens another.

    Made on the event loop; called in worker threads.
    """

    def __init__(self, options: ProviderOptions, guarded: Guarded, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._guarded = guarded
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._one_at_a_time = asyncio.Lock()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._results = Results(8000)
        self._reading: asyncio.Task[None] | None = None
        self._came = asyncio.Event()
        self._broken = ""

    def __call__(self, kind: Kind, segment: Segment, language: str, prompt: str) -> Transcript:
        """Raises ProviderFailed when there is no fallback."""
        return self._guarded.run(lambda: self._wait_for(kind, segment, language), segment, language, prompt)

    def close(self) -> None:
        """The call is over. From the event loop."""
        self._loop.create_task(self._close())

    def _wait_for(self, kind: Kind, segment: Segment, language: str) -> Transcript:
        running = asyncio.run_coroutine_threadsafe(self._recognize(kind, segment, language), self._loop)
        try:
            return running.result(self._options.timeout_s + SPARE_S)
        except NotInTime as late:
            running.cancel()
            raise ProviderFailed(f"{self._options.url}: no time was left to wait for it") from late

    async def _recognize(self, kind: Kind, segment: Segment, language: str) -> Transcript:
        # The time of a pass that waits for another's runs out in _wait_for: the socket is the other's to close.
        async with self._one_at_a_time:
            return await self._bounded(kind, segment, language)

    async def _bounded(self, kind: Kind, segment: Segment, language: str) -> Transcript:
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._exchange(kind, segment, language)
        except TimeoutError as late:
            await self._close()
            raise ProviderFailed(f"{self._options.url} did not answer in {self._options.timeout_s:g} s") from late
        except (aiohttp.ClientError, OSError) as error:
            await self._close()
            raise ProviderFailed(f"{self._options.url}: {error!r}") from error
        except ProviderFailed:
            await self._close()
            raise

    async def _exchange(self, kind: Kind, segment: Segment, language: str) -> Transcript:
        if self._socket is None or self._socket.closed or self._broken:
            await self._open(segment.sample_rate_hz, language)
        socket, results = self._socket, self._results
        assert socket is not None
        sound = results.unsent(segment)
        for at in range(0, len(sound), AUDIO_AT_ONCE):
            await socket.send_bytes(sound[at : at + AUDIO_AT_ONCE])
        if kind is not Kind.PARTIAL and not results.flushed:
            await socket.send_str(results.finalize())
            await self._flushed(results)
        if self._broken:
            raise ProviderFailed(f"{self._options.url}: {self._broken}")
        return results.transcript(segment, language)

    async def _flushed(self, results: Results) -> None:
        # The service may leave a Finalize over hardly any audio unanswered.
        patience_s = LITTLE_WAIT_S if results.open_s < LITTLE_S else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not results.flushed and not self._broken:
                    self._came.clear()
                    await self._came.wait()

    async def _open(self, sample_rate_hz: int, language: str) -> None:
        await self._close()
        query = {
            "model": self._options.model,
            "language": "multi" if language == AUTO else language,
            "encoding": "linear16",
            "sample_rate": str(sample_rate_hz),
            "channels": "1",
            "interim_results": "true",
            "punctuate": "true",
            "endpointing": "false",
        }
        headers = {"Authorization": f"Token {self._options.key}"} if self._options.key else {}
        try:
            async with asyncio.timeout(self._options.connect_s):
                self._socket = await self._session.ws_connect(
                    f"{self._options.url}?{urlencode(query)}", headers=headers, max_msg_size=1_000_000
                )
        except TimeoutError as late:
            raise ProviderFailed(f"{self._options.url}: no connection in {self._options.connect_s:g} s") from late
        except aiohttp.WSServerHandshakeError as error:
            hint = " (look at asr.provider_key)" if error.status in (401, 403) else ""
            raise ProviderFailed(f"{self._options.url} answered {error.status}{hint}: {error.message}") from error
        self._results, self._broken = Results(sample_rate_hz), ""
        self._reading = asyncio.create_task(self._read(self._socket, self._results))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, results: Results) -> None:
        try:
            while True:
                try:
                    message = await socket.receive(timeout=KEEP_ALIVE_S)
                except TimeoutError:
                    await socket.send_str(json.dumps({"type": "KeepAlive"}))
                    continue
                if message.type is not aiohttp.WSMsgType.TEXT:
                    self._broken = f"the stream ended ({message.type.name.lower()}, code {socket.close_code})"
                    return
                results.take(message.data)
                self._came.set()
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            self._broken = f"a message that is not to be understood: {error!r}"
        except (aiohttp.ClientError, OSError) as error:
            self._broken = f"the stream broke: {error!r}"
        finally:
            self._came.set()

    async def _close(self) -> None:
        socket, self._socket = self._socket, None
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if socket is not None and not socket.closed:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(1):
                    await socket.send_str(json.dumps({"type": "CloseStream"}))
                    await socket.close()
            log.logger().debug("asr_provider_stream_closed", provider=self._options.name)
