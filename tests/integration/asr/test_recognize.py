"""Real NATS, real gRPC, real models: each utterance is started, stopped and made a final once, at the right times."""

import asyncio
import itertools
import time

import grpc
import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from evals.caller import ear
from services.asr.replay import replay
from services.asr.vad import SileroModel
from services.common.telemetry import names
from tandem.v1 import asr_pb2


@pytest.fixture(scope="session")
def spans():
    exporter = InMemorySpanExporter()
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


async def test_a_call_of_three_phrases(asr, gateway, brain, phrase, quiet) -> None:
    stream = brain()
    await stream.open()
    said = []
    await gateway.say(quiet[:4000])
    for name in ("af_bella/hours", "bm_george/book_open", "librivox_ill_disposed"):
        samples = phrase(name)
        from_us, _ = await gateway.say(samples)
        said.append((from_us, samples))
        await gateway.say(quiet)
    await stream.until(lambda: len(stream.finals) >= 3)

    texts = [final.text.lower() for final in stream.finals]
    assert "opening hours" in texts[0]
    assert "book an appointment" in texts[1]
    assert "young man" in texts[2]
    kinds = [one.WhichOneof("response") for one in stream.told]
    kinds = [one for one in kinds if one not in ("partial", "turn_end")]  # as there is room
    assert kinds == ["speech_started", "speech_stopped", "final"] * 3
    for number, (stop, final, (from_us, samples)) in enumerate(zip(stream.stops, stream.finals, said, strict=True), 1):
        assert stop.utterance == final.utterance == number
        assert final.end_us == stop.call_time_us
        if number < 3:  # the reader's room is louder than an absolute meter's threshold
            assert stop.call_time_us / 1000 == pytest.approx(from_us / 1000 + ear.stretches(samples)[-1].to_ms, abs=20)
        assert 240_000 <= stop.decided_after_us < 400_000
        assert final.requested_call_time_us == stop.call_time_us + stop.decided_after_us
        assert final.sent_call_time_us >= final.requested_call_time_us
        assert final.decode_us > 0
        assert final.language == "en"
        assert 0.3 < final.confidence <= 1
        times = list(itertools.chain.from_iterable((word.start_us, word.end_us) for word in final.words))
        assert times == sorted(times)
        assert final.start_us - 350_000 <= times[0]
        assert times[-1] <= final.end_us + 250_000
        assert [word.text for word in final.words] == final.text.split()


async def test_a_stream_opened_late_hears_what_was_said_before(asr, gateway, brain, phrase, quiet) -> None:
    """A brain or an asr that takes over: everything from the frame it asks for is recognized once."""
    await gateway.say(np.concatenate([quiet, phrase("am_michael/hours"), quiet, phrase("bf_emma/yes")]), paced=False)
    stream = brain(from_sequence=0)
    await stream.open()
    await stream.until(lambda: bool(stream.finals))
    await gateway.say(quiet)
    await stream.until(lambda: len(stream.finals) >= 2)
    assert "hours" in stream.finals[0].text
    assert "right" in stream.finals[1].text
    assert [one.utterance for one in stream.stops] == [1, 2]


async def test_frames_lost_on_the_bus_are_fetched_again(asr, gateway, brain, phrase, quiet) -> None:
    stream = brain()
    await stream.open()
    gateway.lose = lambda sequence: 40 <= sequence < 60 or sequence % 50 == 3  # less than a stall
    await gateway.say(np.concatenate([quiet[:4000], phrase("af_bella/book_open"), quiet]))
    await stream.until(lambda: bool(stream.finals))
    assert "book an appointment" in stream.finals[0].text
    assert len(stream.stops) == 1


async def test_audio_that_stops_coming_still_gives_a_final(asr, gateway, brain, phrase, quiet) -> None:
    stream = brain()
    await stream.open()
    await gateway.say(np.concatenate([quiet[:4000], phrase("af_bella/person")[:-800]]))
    await stream.until(lambda: bool(stream.finals), within_s=3)
    assert "person" in stream.finals[0].text
    heartbeats = stream.heartbeats
    await stream.until(lambda: stream.heartbeats > heartbeats, within_s=1)


async def test_a_pass_that_fails_gives_an_empty_final_and_a_span_in_error(
    asr, gateway, brain, phrase, quiet, spans
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the model fell over")

    asr.recognize = fail
    stream = brain(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await stream.open()
    await stream.call.write(
        asr_pb2.RecognizeRequest(
            turn_context=asr_pb2.TurnContext(traceparent="00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")
        )
    )
    await gateway.say(np.concatenate([quiet[:4000], phrase("af_bella/no"), quiet]))
    await stream.until(lambda: bool(stream.finals))
    assert (stream.finals[0].text, stream.finals[0].confidence) == ("", 0.0)
    await asyncio.sleep(0.05)
    mine = {one.name: one for one in spans.get_finished_spans() if one.attributes[names.CALL_ID] == gateway.call_id}
    listen, span = mine[names.ASR_LISTEN], mine[names.ASR_FINAL]
    assert format(listen.parent.span_id, "016x") == "b7ad6b7169203331"
    assert listen.attributes[names.MESSAGING_DESTINATION] == "tandem.audio.{call_id}.replay"
    assert listen.status.status_code is StatusCode.UNSET
    assert format(span.parent.span_id, "016x") == "00f067aa0ba902b7"
    assert span.status.description == "the model fell over"
    assert span.attributes[names.ERROR_TYPE] == "RuntimeError"
    assert names.TURN_CALLER_TEXT not in span.attributes


async def test_noise_gives_no_words(asr, gateway, brain, quiet) -> None:
    """A cough may pass for speech; it must not pass for words."""
    random = np.random.default_rng(1)
    burst = (random.standard_normal(4000) * 4000 * np.exp(-np.arange(4000) / 1500)).astype(np.int16)
    hiss = (random.standard_normal(12_000) * 300).astype(np.int16)
    stream = brain()
    await stream.open()
    await gateway.say(np.concatenate([quiet[:4000], burst, quiet, hiss, quiet]))
    assert len(stream.finals) == len(stream.stops)
    assert all(final.text == "" for final in stream.finals)


async def test_a_wrong_first_message_is_refused(asr, brain) -> None:
    stream = brain()
    await stream.call.write(asr_pb2.RecognizeRequest(turn_context=asr_pb2.TurnContext()))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "must be `start`" in refused.value.details()


async def test_a_silent_brain_is_taken_for_dead(asr, gateway, brain) -> None:
    stream = brain()
    await stream.open()
    stream._tasks[1].cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([stream._tasks[0]])
    assert stream.call.done()


async def test_a_replay_that_nobody_answers_is_over_at_once(gateway) -> None:
    """NATS says that there is no responder; waiting would hold back the caller's first words."""
    began = time.monotonic()
    assert not await replay(gateway.client, "nobody", 0, 8000, lambda frames: None, wait_s=5)
    assert time.monotonic() - began < 1


async def test_voice_activity_that_fails_ends_the_stream(asr, gateway, brain, quiet, monkeypatch) -> None:
    """The brain opens another stream, perhaps to another asr; on this one nothing would ever come."""

    def fail(*_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(SileroModel, "run", fail)
    stream = brain()
    await stream.open()
    await gateway.say(quiet[:4000])
    async with asyncio.timeout(1):
        await asyncio.wait([stream._tasks[0]])
    assert stream.call.done()
