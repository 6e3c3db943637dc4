"""Keys in INFO bodies, as they are really written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dtmf import EVENTS, Digit
from services.gateway.sip import info


@pytest.mark.parametrize(
    ("media_type", "body", "digit", "duration_ms"),
    [
        (info.RELAY, b"Signal=5\r\nDuration=160", "5", 160),
        (info.RELAY, b"Signal=5\r\nDuration=250\r\n", "5", 250),
        (info.RELAY, b"signal = #\nDURATION = 100\n", "#", 100),
        (info.RELAY, b"Duration=100\r\nSignal= *\r\n", "*", 100),
        (info.RELAY, b"Signal=d\r\n", "D", 160),
        (info.RELAY, b"Signal=10\r\nDuration=0\r\n", "*", 160),
        (info.RELAY, b"Signal=15\r\nDuration=999999\r\n", "D", 10_000),
        (info.RELAY, b"5", "5", 160),
        (info.PLAIN, b"5", "5", 160),
        (info.PLAIN, b" a \r\n", "A", 160),
        (info.PLAIN, b"11\r\n", "#", 160),
        (info.PLAIN, b"Signal=7\r\nDuration=90\r\n", "7", 90),
    ],
)
def test_digits(media_type: str, body: bytes, digit: str, duration_ms: int) -> None:
    assert info.digit(media_type, body) == Digit(digit, duration_ms)


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/media_control+xml", b"5"),
        ("", b"5"),
        (info.RELAY, b""),
        (info.RELAY, b"Signal=\r\nDuration=160\r\n"),
        (info.RELAY, b"Signal=16\r\n"),
        (info.RELAY, b"Signal=!\r\n"),
        (info.PLAIN, b"55"),
        (info.PLAIN, b"\xff"),
    ],
)
def test_no_digit(media_type: str, body: bytes) -> None:
    assert info.digit(media_type, body) is None


def test_ours() -> None:
    assert info.relay(Digit("#", 160)) == b"Signal=#\r\nDuration=160\r\n"


@given(st.sampled_from(EVENTS), st.integers(1, 10_000))
def test_there_and_back(key: str, duration_ms: int) -> None:
    pressed = Digit(key, duration_ms)
    assert info.digit(info.RELAY, info.relay(pressed)) == pressed


@given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda data: b"Signal=" + data))
def test_any_bytes(body: bytes) -> None:
    found = info.digit(info.RELAY, body)
    assert found is None or found.digit in EVENTS
