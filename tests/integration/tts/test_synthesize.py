"""Text in over gRPC, audio out over NATS, by the real engine."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.common.media.frame import END_OF_UTTERANCE
from services.common.rpc import connect
from services.common.telemetry import names
from services.common.telemetry.metrics import REGISTRY
from services.tts.app import serving
from services.tts.loudness import speech_level
from services.tts.settings import TtsSettings

GREETING = "Good morning, this is Riverside Clinic. How can I help you today?"


async def test_an_utterance_is_heard_as_written(brain: Any) -> None:
    heard = await brain.say(*(f"{word} " for word in GREETING.split()))
    assert [frame.sequence for frame in heard.frames] == list(range(len(heard.frames)))
    assert {frame.utterance_id for frame in heard.frames} == {7}
    assert {frame.sample_rate_hz for frame in heard.frames} == {8000}
    assert [bool(frame.flags & END_OF_UTTERANCE) for frame in heard.frames] == [False] * (len(heard.frames) - 1) + [
        True
    ]
    samples = heard.samples
    assert heard.finished_samples == len(samples)
    assert 3.0 < len(samples) / 8000 < 6.0
    assert 20 * np.log10(speech_level(samples, 8000)) == pytest.approx(-20, abs=1.0)
    assert np.abs(samples).max() < 0.9
    assert np.flatnonzero(np.abs(samples) > 0.01)[0] < 0.020 * 8000, "no silence at the head"
    assert heard.order[0] == "first_audio"
    assert heard.order[-1] == "finished"


async def test_words_lie_where_they_are_heard(brain: Any) -> None:
    heard = await brain.say("Your appointment is at 10:30 a.m. on **Tuesday**. ", "Is that right?")
    assert [word.text for word in heard.words] == (
        ["Your", "appointment", "is", "at", "10:30", "a.m.", "on", "**Tuesday**.", "Is", "that", "right?"]
    )
    at = 0
    for word in heard.words:
        assert at <= word.start_sample <= word.end_sample <= heard.finished_samples
        at = word.end_sample
        sound = heard.samples[word.start_sample : word.end_sample]
        assert np.sqrt(np.mean(sound**2)) > 0.02, f"{word.text} is silent"
    by_text = {word.text: word for word in heard.words}
    pause = heard.samples[by_text["**Tuesday**."].end_sample + 240 : by_text["Is"].start_sample - 240]
    assert len(pause) >= 0.15 * 8000
    assert np.abs(pause).max() < 0.02, "between the sentences is silence"


async def test_an_agents_own_words_are_said_its_way_and_told_as_written(brain: Any) -> None:
    text = "Siobhan's line is free."
    plain = await brain.say(text)
    respelled = await brain.say(text, lexicon={"Siobhan": "shiv AWN"})
    by_phonemes = await brain.say(text, lexicon={"Siobhan": "/ʃəvˈɔn/"})
    for heard in (plain, respelled, by_phonemes):
        assert [word.text for word in heard.words] == text.split()
    assert not np.array_equal(plain.samples, respelled.samples)
    assert not np.array_equal(plain.samples, by_phonemes.samples)


async def test_a_lexicon_that_cannot_be_said_is_refused_by_name(brain: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="lexicon: 'Siobhan'") as error:
        await brain.say("Hello.", lexicon={"Siobhan": "/broken"})
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_wide_band_has_twice_the_samples(brain: Any) -> None:
    narrow = await brain.say("One moment, please.")
    wide = await brain.say("One moment, please.", rate_hz=16000)
    assert wide.frames[0].sample_rate_hz == 16000
    assert len(wide.samples) == pytest.approx(2 * len(narrow.samples), abs=1280)


async def test_first_clause_is_spoken_before_the_text_is_whole(brain: Any) -> None:
    """Clause by clause: the first frames are there though the sentence's end never was."""
    heard = await brain.say("Let me look that up. ", "And then", cancel_after=10)
    assert len(heard.frames) >= 10
    assert heard.first is not None
    assert heard.finished_samples is None
    assert not heard.ended


@pytest.mark.parametrize("how", ["cancel_after", "cancel_rpc_after"])
async def test_cancel_stops_the_frames(nats_url: str, settings: TtsSettings, open_brain: Any, how: str) -> None:
    """With frames paced to real time, what comes after a cancel is what was on its way: a frame or two."""
    slow = settings.model_copy(update={"ahead_ms": 200})
    async with open_brain(slow) as brain:
        heard = await brain.say(GREETING, GREETING, **{how: 20})
        count = len(heard.frames)
        await asyncio.sleep(0.3)
        await brain.bus.flush()
        assert len(heard.frames) == count
        assert 20 <= count <= 23
        assert not heard.ended


async def test_frames_do_not_run_further_ahead_than_told(settings: TtsSettings, open_brain: Any) -> None:
    async with open_brain(settings.model_copy(update={"ahead_ms": 1000})) as brain:
        began = asyncio.get_running_loop().time()
        heard = await brain.say(GREETING)
        took = asyncio.get_running_loop().time() - began
    audio_s = len(heard.samples) / 8000
    assert took >= audio_s - 1.0 - 0.05


async def test_text_with_nothing_to_say_still_ends(brain: Any) -> None:
    for pieces in ((), ("",), ("😀 ", "- ")):
        heard = await brain.say(*pieces)
        assert heard.order[-1] == "finished"
        assert "first_audio" in heard.order
        assert [frame.flags for frame in heard.frames] == [END_OF_UTTERANCE]
        assert not heard.samples.any()


async def test_cacheable_phrase_comes_from_the_cache_the_second_time(brain: Any, settings: TtsSettings) -> None:
    first = await brain.say("One moment, please.", cacheable=True)
    again = await brain.say("One moment, please.", cacheable=True)
    assert (first.first.from_cache, again.first.from_cache) == (False, True)
    assert np.array_equal(first.samples, again.samples)
    assert list(first.words) == list(again.words)
    assert settings.phrase_cache is not None
    for _ in range(50):
        if list(settings.phrase_cache.glob("*.phrase")):
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("nothing on disk")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ({"call_id": "a.b"}, "call_id 'a.b': expected letters"),
        ({"rate_hz": 44100}, "sample_rate_hz 44100: expected one of"),
        ({"language": "de-DE"}, "language 'de-DE': the engines here speak English"),
        ({"voice": "nobody"}, "engine hibari has the voice 'heart', not 'nobody'"),
    ],
)
async def test_mistaken_start_is_refused(brain: Any, start: dict[str, Any], said: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await brain.say("Hello.", **({"call_id": "call-1"} | start))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in (refused.value.details() or "")


async def test_text_without_end_is_refused(settings: TtsSettings, open_brain: Any) -> None:
    async with open_brain(settings.model_copy(update={"longest_text": 100})) as brain:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await brain.say(*["na "] * 60)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("services.tts.utterancespan.tracer", lambda: provider.get_tracer("test"))
    return exporter


async def test_spans_hang_under_the_callers(brain: Any, spans: InMemorySpanExporter) -> None:
    await brain.say("Good morning. How are you?", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    await asyncio.sleep(0.05)
    finished = spans.get_finished_spans()
    (utterance,) = [span for span in finished if span.name == names.TTS_UTTERANCE]
    clauses = [span for span in finished if span.name == names.TTS_CLAUSE]
    assert utterance.parent is not None
    assert (utterance.parent.trace_id, utterance.parent.span_id) == (int("a" * 32, 16), int("b" * 16, 16))
    assert utterance.attributes is not None
    assert utterance.attributes[names.CALL_ID] == "call-1"
    assert utterance.attributes[names.TTS_UTTERANCE_ID] == 7
    assert len(clauses) == 2
    for clause in clauses:
        assert clause.parent is not None
        assert clause.parent.span_id == utterance.context.span_id
        assert clause.attributes is not None
        assert {names.TTS_QUEUE_MS, names.TTS_SYNTHESIS_MS, names.TTS_AUDIO_MS, names.TTS_FROM_CACHE} <= set(
            clause.attributes
        )


async def test_what_is_cut_short_is_cancelled_and_all_is_counted(
    settings: TtsSettings, open_brain: Any, spans: InMemorySpanExporter
) -> None:
    def count(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"tandem_tts_{name}", labels)

    async with open_brain(settings.model_copy(update={"ahead_ms": 100})) as brain:
        await brain.say("Good morning.")
        await brain.say(GREETING, GREETING, cancel_after=20)
        for _ in range(100):
            if count("utterances_ended_total", engine="hibari", result="cancelled"):
                break
            await asyncio.sleep(0.02)
        results = [
            (one.attributes or {})[names.TTS_RESULT]
            for one in spans.get_finished_spans()
            if one.name == names.TTS_UTTERANCE
        ]
        assert results == ["finished", "cancelled"]
        assert count("utterances_ended_total", engine="hibari", result="finished") == 1
        assert count("utterances_ended_total", engine="hibari", result="cancelled") == 1
        assert count("first_audio_seconds_count", engine="hibari") == 2
        assert count("utterances") == 0
    assert count("utterances") is None, "a service that is stopped tells nothing any more"


async def test_a_clause_that_fails_is_skipped(
    brain: Any, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.tts import studio

    def fail_on_two(text: str, *rest: Any, **more: Any) -> Any:
        if text == "Two is broken.":
            raise RuntimeError("engine")
        return render(text, *rest, **more)

    render = studio.render
    monkeypatch.setattr(studio, "render", fail_on_two)
    heard = await brain.say("One is here. Two is broken. Three is here.")
    assert [word.text for word in heard.words] == ["One", "is", "here.", "Three", "is", "here."]
    assert heard.ended
    await asyncio.sleep(0.05)
    bad = [span for span in spans.get_finished_spans() if span.status.status_code is StatusCode.ERROR]
    assert [span.name for span in bad] == [names.TTS_CLAUSE]
    assert bad[0].events[0].name == "exception"


async def test_utterances_side_by_side_keep_apart(brain: Any) -> None:
    heard = await asyncio.gather(*(brain.say(GREETING, call_id=f"call-{n}") for n in range(8)))
    assert all(one.ended for one in heard)
    assert all(np.array_equal(one.samples, heard[0].samples) for one in heard)


async def test_health_serves_only_after_warm_up(settings: TtsSettings) -> None:
    async with serving(settings) as port:
        channel = connect(f"127.0.0.1:{port}")
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="tandem.v1.Synthesizer")
        )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await channel.close()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            "engine: kokoro\n  kokoro_model: /nowhere",
            "tts: model kokoro: /nowhere is not there (setting tts.kokoro_model)",
        ),
        ("voice: nobody", "tts: tts.voice: engine hibari has the voice 'heart', not 'nobody'"),
        ("pitch: 3", "pitch: unknown key"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(nats_url: str, tmp_path: Path, section: str, said: str) -> None:
    file = tmp_path / "tandem.yaml"
    file.write_text(f"nats_url: {nats_url}\ntts:\n  address: 127.0.0.1:0\n  {section}\n")
    ran = subprocess.run(
        [sys.executable, "-m", "services.tts", "--settings", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert said in ran.stderr
