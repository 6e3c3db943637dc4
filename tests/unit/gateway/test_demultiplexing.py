"""RFC 7983 §7: one port, three protocols."""

from __future__ import annotations

import pytest

from services.gateway.demultiplexing import KINDS, first_byte_kind


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (0, "stun"),
        (3, "stun"),
        (4, "other"),
        (16, "other"),
        (19, "other"),
        (20, "dtls"),
        (63, "dtls"),
        (64, "other"),
        (127, "other"),
        (128, "rtp"),
        (191, "rtp"),
        (192, "other"),
        (255, "other"),
    ],
)
def test_the_first_byte_tells(first: int, kind: str) -> None:
    assert first_byte_kind(bytes([first]) + b"rest") == kind == KINDS[first]


def test_nothing_is_something_else() -> None:
    assert first_byte_kind(b"") == "other"
    assert len(KINDS) == 256
