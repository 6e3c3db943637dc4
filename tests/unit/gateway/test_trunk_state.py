"""What registration, pings and calls make of a trunk, as a table."""

from __future__ import annotations

import pytest

from services.gateway.sip.keepalive import KeepAliveStatus, Reachability
from services.gateway.sip.registration import RegistrationState, RegistrationStatus
from services.gateway.trunk_state import TrunkState

UP, DOWN, UNKNOWN = Reachability.UP, Reachability.DOWN, Reachability.UNKNOWN
R = RegistrationState

NEVER_PINGED = KeepAliveStatus(UNKNOWN, 0.0)
ALIVE = KeepAliveStatus(UP, 3.0, "OPTIONS answered 200 OK", rtt_s=0.02)
DEAD = KeepAliveStatus(DOWN, 4.0, "OPTIONS not answered, 2 in a row", 2)
BEGINNING = RegistrationStatus(R.REGISTERING, 1.0)
BOUND = RegistrationStatus(R.REGISTERED, 2.0, 100.0)
REFRESH_FAILED = RegistrationStatus(R.FAILED, 5.0, 100.0, "503 Full", 40.0)
REFUSED = RegistrationStatus(R.FAILED, 5.0, None, "403 Forbidden", 900.0)
ENDED = RegistrationStatus(R.UNREGISTERED, 6.0)
LEAVING = RegistrationStatus(R.UNREGISTERING, 6.0, 100.0)


@pytest.mark.parametrize(
    ("registration", "keepalive", "state", "why", "since"),
    [
        (None, None, UNKNOWN, "neither registered nor pinged, and no call yet", 0.0),
        (None, NEVER_PINGED, UNKNOWN, "no ping answered yet", 0.0),
        (None, ALIVE, UP, "OPTIONS answered 200 OK", 3.0),
        (None, DEAD, DOWN, "OPTIONS not answered, 2 in a row", 4.0),
        (BEGINNING, None, UNKNOWN, "registering", 0.0),
        (BEGINNING, ALIVE, UNKNOWN, "registering", 0.0),
        (BOUND, None, UP, "registered", 2.0),
        (BOUND, NEVER_PINGED, UP, "registered", 2.0),
        (BOUND, ALIVE, UP, "OPTIONS answered 200 OK", 3.0),
        (BOUND, DEAD, DOWN, "OPTIONS not answered, 2 in a row", 4.0),
        (REFRESH_FAILED, ALIVE, UP, "registered, but the refresh failed: 503 Full", 10.0),
        (REFUSED, ALIVE, DOWN, "not registered: 403 Forbidden", 5.0),
        (ENDED, None, DOWN, "not registered", 6.0),
        (LEAVING, None, UP, "unregistering", 6.0),
    ],
)
def test_table(
    registration: RegistrationStatus | None,
    keepalive: KeepAliveStatus | None,
    state: Reachability,
    why: str,
    since: float,
) -> None:
    trunk = TrunkState("carrier", 0.0)
    # The order of the news must not matter to what is known in the end.
    for first in (True, False):
        if first:
            trunk.keepalive_is(keepalive, 10.0)
        else:
            trunk.registration_is(registration, 10.0)
    status = trunk.status(10.0)
    assert (status.name, status.state, status.why) == ("carrier", state, why)
    assert trunk.outbound(10.0) is status.outbound is (state is not DOWN)
    if keepalive is None or registration is None:
        assert status.since == since


def test_a_binding_ends_by_itself() -> None:
    trunk = TrunkState("carrier", 0.0)
    trunk.registration_is(BOUND, 2.0)
    trunk.registration_is(REFRESH_FAILED, 5.0)
    before, after = trunk.status(99.0), trunk.status(150.0)
    assert (before.state, before.since, before.registered_until, before.retry_at) == (UP, 2.0, 100.0, 40.0)
    assert (after.state, after.since, after.registered_until) == (DOWN, 100.0, None)
    assert after.why == "not registered: 503 Full"
    assert not trunk.outbound(150.0)


def test_since_stays_while_the_state_does() -> None:
    trunk = TrunkState("carrier", 0.0)
    trunk.keepalive_is(ALIVE, 3.0)
    trunk.keepalive_is(KeepAliveStatus(UP, 3.0, "OPTIONS not answered, 1 in a row", 1), 60.0)
    assert trunk.status(61.0).since == 3.0
    trunk.keepalive_is(KeepAliveStatus(DOWN, 80.0, "OPTIONS not answered, 2 in a row", 2), 80.0)
    assert trunk.status(200.0).since == 80.0
    assert trunk.status(200.0).rtt_s is None


def test_calls() -> None:
    trunk = TrunkState("carrier", 0.0)
    trunk.call_started("a")
    trunk.call_started("b")
    trunk.call_started("b")
    assert trunk.status(1.0).live_calls == 2
    trunk.call_ended("a", "in", "answered", 9.0)
    trunk.call_ended("a", "in", "answered", 9.0)
    status = trunk.status(10.0)
    assert (status.live_calls, status.state, status.since) == (1, UP, 9.0)
    assert status.why == "last call (in): answered"
    trunk.call_ended("b", "out", "no answer from the peer", 20.0, reached=False)
    status = trunk.status(30.0)
    assert (status.live_calls, status.state, status.since, status.outbound) == (0, UNKNOWN, 20.0, True)
    assert status.last_call is not None
    assert status.last_call.outcome == "no answer from the peer"


def test_a_lost_call_says_nothing_against_pings() -> None:
    trunk = TrunkState("carrier", 0.0)
    trunk.keepalive_is(ALIVE, 3.0)
    trunk.call_ended("a", "out", "no answer from the peer", 20.0, reached=False)
    assert trunk.status(21.0).state is UP
