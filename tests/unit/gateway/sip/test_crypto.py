"""a=crypto lines (RFC 4568 §9.1): which can be used, and how ours are written."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip import crypto
from services.gateway.sip.crypto import SUITES, Crypto, SrtpKey

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
CM = "AES_CM_128_HMAC_SHA1_80"


@pytest.mark.parametrize(
    "value",
    [
        f"1 {CM} inline:{KEY}",
        f"1 {CM} inline:{KEY}|2^48",
        f"1 {CM} inline:{KEY}|1048576",
        f"  1   {CM.lower()}   INLINE:{KEY}  ",
        f"1 {CM} inline:{KEY} WSH=64",
        f"1 {CM} inline:{KEY}|2^20 FEC_ORDER=FEC_SRTP KDR=0 -X-VENDOR=1",
    ],
)
def test_usable(value: str) -> None:
    assert crypto.parse(value) == Crypto(1, SrtpKey(SUITES[CM], base64.b64decode(KEY)))


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"1 {CM}",
        f"{CM} inline:{KEY}",
        f"1234567890 {CM} inline:{KEY}",
        f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}",
        f"1 AEAD_AES_128_GCM inline:{KEY}",  # too long a key
        f"1 {CM} inline:{KEY[:-4]}",
        f"1 {CM} inline:{KEY[:-1]}",
        f"1 {CM} inline:{KEY[:-1]}!",
        f"1 {CM} inline:{KEY[:-1]}é",
        f"1 {CM} inline:{KEY}|1:4",
        f"1 {CM} inline:{KEY}|2^20|1:4",
        f"1 {CM} inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4",
        f"1 {CM} inline:{KEY};inline:{KEY}",
        f"1 {CM} uri:{KEY}",
        f"1 {CM} inline:{KEY} UNENCRYPTED_SRTP",
        f"1 {CM} inline:{KEY} UNENCRYPTED_SRTCP",
        f"1 {CM} inline:{KEY} UNAUTHENTICATED_SRTP",
        f"1 {CM} inline:{KEY} KDR=10",
        f"1 {CM} inline:{KEY} X-VENDOR=1",
    ],
)
def test_not_usable(value: str) -> None:
    assert crypto.parse(value) is None


@pytest.mark.parametrize("suite", SUITES.values(), ids=str)
@pytest.mark.parametrize("padded", [True, False])
def test_every_suite_there_and_back(suite: crypto.Suite, padded: bool) -> None:
    ours = Crypto(3, SrtpKey(suite, bytes(range(suite.keying_bytes))))
    assert crypto.parse(str(ours) if padded else str(ours).rstrip("=")) == ours


def test_the_key_is_in_no_log() -> None:
    assert "keying" not in repr(crypto.parse(f"1 {CM} inline:{KEY}"))


@given(st.text(max_size=60) | st.text(max_size=20).map(lambda text: f"1 {CM} inline:{KEY}{text}"))
def test_any_line_is_read_or_left(value: str) -> None:
    line = crypto.parse(value)
    assert line is None or line.key.suite in SUITES.values()
