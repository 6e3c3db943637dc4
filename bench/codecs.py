"""`python -m bench.codecs --json`: what each codec costs, in µs of one core for a packet of 20 ms.

Speech (the gateway's apology, brought to the rate) goes through `encoder_for` and `decoder_for` of each codec at both
rates inside; then what a loss costs, comfort noise, and a packet of digital silence, which is what the sender has most
of the time. Figures are CPU time, and the best of several runs, for another load on the machine only adds. stdout gets
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.latency import machine
from services.gateway.apology import apology
from services.gateway.codecs import catalogue, libopus
from services.gateway.codecs.comfort_noise import ComfortNoise
from services.gateway.sip.sdp import Codec

_PACKET_MS = 20
_CODECS = {
    "PCMU": Codec(0, "PCMU", 8000),
    "PCMA": Codec(8, "PCMA", 8000),
    "G722": Codec(9, "G722", 8000),
    "OPUS": Codec(96, "OPUS", 48000, "useinbandfec=1"),
}


def _best_us(run: Callable[[], int], repeats: int) -> float:
    """Of a run that tells how many packets it did."""
    best = float("inf")
    for _ in range(repeats):
        started = time.thread_time()
        packets = run()
        best = min(best, (time.thread_time() - started) / packets)
    return round(best * 1e6, 2)


def _figures(codec: Codec, rate_hz: int, speech: list[bytes], repeats: int) -> dict[str, Any]:
    samples = rate_hz * _PACKET_MS // 1000
    payloads: list[bytes] = []
    silence = bytes(2 * samples)

    def encode() -> int:
        encoder = catalogue.encoder_for(codec, rate_hz, _PACKET_MS)
        payloads[:] = [encoder.encode(pcm) for pcm in speech]
        return len(speech)

    def encode_silence() -> int:
        encoder = catalogue.encoder_for(codec, rate_hz, _PACKET_MS)
        for _ in range(2000):
            encoder.encode(silence)
        return 2000

    def decode() -> int:
        decode_one = catalogue.decoder_for(codec, rate_hz).decode
        for payload in payloads:
            decode_one(payload)
        return len(payloads)

    def with_losses() -> int:
        decoder = catalogue.decoder_for(codec, rate_hz)
        for number, payload in enumerate(payloads):
            if number % 10 != 9:
                decoder.decode(payload)
            elif number % 20 == 9 or decoder.recover(payloads[min(number + 1, len(payloads) - 1)], samples) is None:
                decoder.conceal(samples)
        return len(payloads)

    return {
        "encode_us": _best_us(encode, repeats),
        "encode_silence_us": _best_us(encode_silence, repeats),
        "decode_us": _best_us(decode, repeats),
        "decode_10_pct_lost_us": _best_us(with_losses, repeats),
        "bytes_a_packet": round(sum(map(len, payloads)) / len(payloads), 1),
    }


def measure(repeats: int = 5) -> dict[str, Any]:
    """{"machine", "libopus", "packet_ms", "codecs": [{"encoding", "inside_hz", …}], "comfort_noise_us": {hz: _us}}."""
    result: dict[str, Any] = {"machine": machine(), "libopus": libopus.version(), "packet_ms": _PACKET_MS}
    result["codecs"], result["comfort_noise_us"] = [], {}
    for rate_hz in (catalogue.NARROW_HZ, catalogue.WIDE_HZ):
        step = rate_hz * _PACKET_MS // 1000
        speech = [frame.samples for frame in apology(rate_hz)]
        for encoding in catalogue.offered():
            figures = _figures(_CODECS[encoding], rate_hz, speech, repeats)
            result["codecs"].append({"encoding": encoding, "inside_hz": rate_hz, **figures})
        noise = ComfortNoise(rate_hz)
        noise.sid(bytes([50, 90, 140]))

        def fill(noise: ComfortNoise = noise, step: int = step) -> int:
            for _ in range(1000):
                noise.noise(step)
            return 1000

        result["comfort_noise_us"][str(rate_hz)] = _best_us(fill, repeats)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.codecs", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (the only form there is)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the best counts (default 5)")
    chosen = parser.parse_args(arguments)
    json.dump(measure(max(1, chosen.repeat)), sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
