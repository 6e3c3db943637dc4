"""Contradictions in the section `asr` are refused."""

import pytest
from pydantic import ValidationError

from services.asr.recognition import provider_options
from services.asr.recognizer import mistake_in
from services.asr.settings import AsrSettings
from tandem.v1 import asr_pb2


def test_defaults_hold() -> None:
    settings = AsrSettings()
    assert settings.address == "127.0.0.1:7303"
    assert settings.passes_at_once in (1, 2)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"speech_probability": 0.3}, "silence_probability"),
        ({"head_start_ms": 300}, "head_start_ms"),
        ({"head_start_ms": 40}, "at least 60"),
        ({"min_silence_ms": 20}, "min_silence_ms"),
        ({"colour": 1}, "colour"),
        ({"device": "gpu"}, "cuda"),
        ({"compute_type": "float16"}, "needs device: cuda"),
        ({"compute_type": "float8"}, "int8_float16"),
        ({"partials_off_ms": 500}, "the steps in turn"),
        ({"undecided_language": "auto"}, "expected a language"),
        ({"provider": "google"}, "deepgram"),
        ({"provider": "openai"}, "api.openai.com/v1 wants one"),
        ({"provider": "deepgram", "provider_url": "https://stt.example"}, "ws://"),
        ({"provider": "openai", "provider_url": "wss://stt.example"}, "http://"),
        ({"provider_connect_ms": 5_000}, "provider_timeout_ms"),
        ({"provider_key": "env:NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set"),
    ],
)
def test_contradictions(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AsrSettings.model_validate(values)


def test_the_provider_s_key_comes_from_the_environment_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_KEY", "sesame")
    settings = AsrSettings.model_validate({"provider": "deepgram", "provider_key": "env:STT_KEY"})
    options = provider_options(settings)
    assert (options.key, options.url, options.model) == ("sesame", "wss://api.deepgram.com/v1/listen", "nova-3")
    assert "sesame" not in repr(settings) + repr(options)


@pytest.mark.parametrize(
    "values",
    [
        {"device": "cuda", "compute_type": "float16"},
        {"device": "auto", "compute_type": "default"},
        {"provider": "openai", "provider_url": "http://127.0.0.1:9000/v1"},
        {"language": "auto", "undecided_language": "de"},
    ],
)
def test_what_goes_together(values: dict[str, object]) -> None:
    AsrSettings.model_validate(values)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (None, "must be `start`"),
        ({"call_id": "", "sample_rate_hz": 8000}, "call_id is empty"),
        ({"call_id": "a.>", "sample_rate_hz": 8000}, "NATS subject"),
        ({"call_id": "a", "sample_rate_hz": 44100}, "44100"),
    ],
)
def test_a_first_message_that_will_not_do(start: dict[str, object] | None, says: str) -> None:
    request = asr_pb2.RecognizeRequest()
    if start is not None:
        request.start.CopyFrom(asr_pb2.RecognizeStart(**start))
    assert says in mistake_in(request)
