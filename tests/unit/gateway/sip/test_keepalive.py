"""Pings go out when they should, and the peer is up or down as its answers say."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.header import Headers
from services.gateway.sip.keepalive import OptionsKeepAlive, Reachability, ReachabilityChanged, SendOptions
from services.gateway.sip.message import Response

UP, DOWN, UNKNOWN = Reachability.UP, Reachability.DOWN, Reachability.UNKNOWN


def keepalive(random: float = 0.0, **settings: float) -> OptionsKeepAlive:
    numbers = count(1)
    return OptionsKeepAlive(
        "sip:carrier.example",
        "sip:192.0.2.1",
        settings.get("interval_s", 60.0),
        lambda: f"t{next(numbers)}",
        lambda: random,
        int(settings.get("failures_to_down", 2)),
    )


def answer(status: int, *fields: tuple[str, str]) -> Response:
    return Response(status, "Because", Headers(fields))


def test_ping() -> None:
    machine = keepalive()
    headers = (("From", "<sip:192.0.2.1>;tag=t1"), ("To", "<sip:carrier.example>"), ("Accept", "application/sdp"))
    assert machine.start(0.0) == [SendOptions("sip:carrier.example", headers)]
    assert machine.start(0.0) == []
    assert machine.next_deadline() is None
    assert machine.answered(answer(200), 0.25) == [ReachabilityChanged(UP, "OPTIONS answered 200 Because")]
    assert (machine.status.rtt_s, machine.status.since) == (0.25, 0.25)
    assert machine.next_deadline() == 60.25
    assert machine.expire(60.0) == []
    [ping] = machine.expire(60.25)
    assert isinstance(ping, SendOptions)
    assert ping.headers[0][1].endswith("t2")


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 405, 481, 483, 488, 500, 501, 504, 603])
def test_whatever_it_answers_it_is_there(status: int) -> None:
    machine = keepalive()
    machine.start(0.0)
    machine.answered(answer(status), 1.0)
    assert machine.status.state is UP


@pytest.mark.parametrize(
    ("answers", "states"),
    [
        ([None, None], [UNKNOWN, DOWN]),
        ([408, 503], [UNKNOWN, DOWN]),
        ([200, None, 200, None, None, None, 404], [UP, UP, UP, UP, DOWN, DOWN, UP]),
    ],
)
def test_two_failures_in_a_row(answers: list[int | None], states: list[Reachability]) -> None:
    machine = keepalive()
    machine.start(0.0)
    seen, changes, now = [], [], 0.0
    for status in answers:
        changes += machine.answered(None if status is None else answer(status), now)
        seen.append(machine.status.state)
        now = machine.next_deadline() or 0.0
        machine.expire(now)
    assert seen == states
    told = [change.state for change in changes if isinstance(change, ReachabilityChanged)]
    previous = [UNKNOWN, *states[:-1]]
    assert told == [state for state, before in zip(states, previous, strict=True) if state is not before]


def test_why() -> None:
    machine = keepalive(failures_to_down=1)
    machine.start(0.0)
    assert machine.answered(None, 32.0) == [ReachabilityChanged(DOWN, "OPTIONS not answered, 1 in a row")]
    machine.expire(42.0)
    assert machine.answered(answer(503), 42.0) == []
    assert (machine.status.why, machine.status.since) == ("OPTIONS answered 503 Because, 2 in a row", 32.0)


@pytest.mark.parametrize(
    ("random", "response", "wait_s"),
    [
        (0.0, answer(200), 60),
        (1.0, answer(200), 54),
        (0.0, None, 10),
        (1.0, None, 9),
        (0.0, answer(503, ("Retry-After", "30")), 30),
        (0.0, answer(503, ("Retry-After", "86400")), 60),
        (0.0, answer(503, ("Retry-After", "1")), 10),
    ],
)
def test_next_ping(random: float, response: Response | None, wait_s: float) -> None:
    machine = keepalive(random)
    machine.start(0.0)
    machine.answered(response, 100.0)
    assert machine.next_deadline() == pytest.approx(100.0 + wait_s)


def test_a_short_interval_is_not_lengthened_by_failures() -> None:
    machine = keepalive(interval_s=5.0)
    machine.start(0.0)
    machine.answered(None, 1.0)
    assert machine.next_deadline() == 6.0


def test_stop() -> None:
    machine = keepalive()
    machine.start(0.0)
    machine.stop(1.0)
    assert machine.answered(answer(200), 2.0) == []
    assert (machine.status.state, machine.next_deadline(), machine.expire(99.0)) == (UNKNOWN, None, [])
    assert len(machine.start(3.0)) == 1


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="above 0"):
        keepalive(interval_s=0.0)


@given(steps=st.lists(st.tuples(st.sampled_from([None, 200, 404, 408, 503]), st.integers(0, 40)), max_size=40))
def test_down_means_the_last_two_failed(steps: list[tuple[int | None, int]]) -> None:
    machine = keepalive(0.5)
    now = 0.0
    history: list[bool] = []
    actions = machine.start(now)
    for status, took_s in steps:
        assert len(actions) == 1
        now += took_s
        machine.answered(None if status is None else answer(status), now)
        history.append(status in (200, 404))
        expected = UP if history[-1] else DOWN if history[-2:] == [False, False] else None
        assert expected is None or machine.status.state is expected
        deadline = machine.next_deadline()
        assert deadline is not None
        assert deadline > now
        now = deadline
        actions = machine.expire(now)
