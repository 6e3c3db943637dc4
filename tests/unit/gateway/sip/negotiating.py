"""Offers and answers of peers, and ours, for the tests of negotiation."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from services.gateway.sip.dtls import Fingerprint
from services.gateway.sip.negotiation import Answer, MediaNegotiation

HEAD = "v=0\no=- 1 1 IN IP4 198.51.100.7\ns=-\nc=IN IP4 198.51.100.7\nt=0 0\n"
AUDIO = "m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"
KEY_80 = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\n"
KEY_32 = "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj\n"
OTHER_80 = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n"
MKI = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\n"
UNKNOWN = "a=crypto:1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n"
SAVP = AUDIO.replace("AVP", "SAVP")
TLS = AUDIO.replace("RTP/AVP", "UDP/TLS/RTP/SAVP")

OURS = Fingerprint("sha-256", bytes(range(32)))
THEIRS = Fingerprint("sha-256", bytes(range(100, 132)))
OTHER = Fingerprint("sha-1", bytes(20))
PRINT = f"a=fingerprint:{THEIRS}\n"
OTHER_PRINT = f"a=fingerprint:{OTHER}\n"
ACTPASS = "a=setup:actpass\n"
ICE = "a=ice-ufrag:Ab1+\na=ice-pwd:0123456789abcdefghij/+\n"
RESTARTED = "a=ice-ufrag:Ab2+\na=ice-pwd:0123456789abcdefghij/+\n"


def counted_keys() -> Callable[[int], bytes]:
    """Keys of 0x01, of 0x02, ..."""
    counter = itertools.count(1)
    return lambda length: bytes([next(counter) % 256]) * length


def call(**options: object) -> MediaNegotiation:
    options = {"session_id": 7, "keys": counted_keys(), **options}
    return MediaNegotiation("192.0.2.1", 6000, **options)  # type: ignore[arg-type]


def answer(text: str, **options: object) -> Answer:
    return call(**options).answer(text)


def lines(body: bytes, start: str = "") -> list[str]:
    return [line for line in body.decode().split("\r\n")[:-1] if line.startswith(start)]


def values(body: bytes, name: str) -> list[str]:
    """Of every a= line of this name."""
    return [line.partition(":")[2] for line in lines(body, "a=") if line[2:].split(":")[0] == name]


def version(body: bytes) -> int:
    return int(lines(body, "o=")[0].split()[2])
