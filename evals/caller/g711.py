"""G.711 in both laws, as numpy look-up tables.

Source: ITU-T G.711 (11/1988). Samples are int16; G.711 uses the upper 14 (µ-law) or 13 (A-law) bits of them.
"""

import numpy as np
from numpy.typing import NDArray

PCMU = 0
"""Static payload type of µ-law (RFC 3551, table 4)."""
PCMA = 8
"""Static payload type of A-law (RFC 3551, table 4)."""

Samples = NDArray[np.int16]


def _expand_ulaw() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    segment = (code >> 4) & 7
    mantissa = (code & 15).astype(np.int32)
    magnitude = (((mantissa << 3) + 0x84) << segment) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _expand_alaw() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = ((code >> 4) & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    linear = (mantissa << 4) + 8
    magnitude = np.where(segment == 0, linear, (linear + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _compress(expand: Samples) -> NDArray[np.uint8]:
    """The encoder as the nearest decoder value: 65,536 entries indexed by the sample seen as uint16."""
    order = np.argsort(expand, kind="stable")
    values = expand[order].astype(np.int32)
    edges = (values[:-1] + values[1:] + 1) // 2
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return order[np.searchsorted(edges, linear, side="right")].astype(np.uint8)


_EXPAND = {PCMU: _expand_ulaw(), PCMA: _expand_alaw()}
_COMPRESS = {law: _compress(table) for law, table in _EXPAND.items()}


def decode(payload: bytes, law: int) -> Samples:
    """int16 samples of a G.711 payload, one a byte. `law` is PCMU or PCMA."""
    return _EXPAND[law][np.frombuffer(payload, np.uint8)]


def encode(samples: Samples, law: int) -> bytes:
    """G.711 payload of int16 samples, one byte a sample. `law` is PCMU or PCMA."""
    return _COMPRESS[law][samples.view(np.uint16)].tobytes()
