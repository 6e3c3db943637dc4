"""From a trunk's settings to the user agent's profile."""

from __future__ import annotations

from services.gateway.profiles import profile_of
from services.gateway.sip.reliable import OneHundredRel
from services.gateway.sip.sessiontimer import SessionTimerMode
from services.gateway.trunk_settings import TrunkSettings
from tests.unit.gateway.office import trunk


def profile(**more):
    return profile_of(TrunkSettings.model_validate(trunk(**more)), b"secret")


def test_as_it_is_set() -> None:
    one = profile(
        one_hundred_rel="required",
        session_timer={"mode": "always", "expires_s": 600, "min_se_s": 120},
        credentials={"username": "tandem", "password": "secret", "realm": "carrier"},
        challenge={"realm": "here", "users": {"ada": "word"}, "algorithms": ["md5"]},
    )
    assert (one.name, one.refer) == ("carrier", True)
    assert one.one_hundred_rel is OneHundredRel.REQUIRED
    assert (one.session_timer.mode, one.session_timer.expires_s, one.session_timer.min_se_s) == (
        SessionTimerMode.ALWAYS,
        600,
        120,
    )
    assert one.credentials is not None
    assert (one.credentials.username, one.credentials.realm) == ("tandem", "carrier")
    assert one.challenger is not None
    (challenge,) = one.challenger.challenges(0.0)
    assert 'realm="here"' in challenge[1]
    assert "MD5" in challenge[1]


def test_by_default_nobody_is_asked_and_nobody_is_called() -> None:
    one = profile(refer="refuse")
    assert (one.challenger, one.credentials, one.refer) == (None, None, False)
    assert "secret" not in repr(profile(credentials={"username": "tandem", "password": "secret"}))
