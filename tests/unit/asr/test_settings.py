"""Contradictions in the section `asr` are refused."""

import pytest
from pydantic import ValidationError

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
        ({"min_silence_ms": 20}, "min_silence_ms"),
        ({"colour": 1}, "colour"),
    ],
)
def test_contradictions(values: dict[str, float], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
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
