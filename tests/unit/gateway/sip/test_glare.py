"""Waiting after 491 (RFC 3261 §14.1)."""

from __future__ import annotations

import pytest

from services.gateway.sip.glare import retry_after_491


@pytest.mark.parametrize(
    ("owner", "random", "seconds"),
    [(True, 0.0, 2.1), (True, 0.9999, 4.0), (True, 0.5, 3.05), (False, 0.0, 0.0), (False, 0.9999, 2.0)],
)
def test_the_owner_of_the_call_id_waits_longer(owner: bool, random: float, seconds: float) -> None:
    assert retry_after_491(owner, random) == seconds
