"""A binding's life against a scripted registrar: when REGISTER goes out, what it asks for, what operators read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Response
from services.gateway.sip.registration import (
    MAX_EXPIRES_S,
    MAX_RETRY_AFTER_S,
    MAX_WAIT_S,
    MIN_WAIT_S,
    Registration,
    RegistrationState,
    SendRegister,
)

CONTACT = "sip:tandem@192.0.2.1:5060"


def registration(expires_s: int = 3600, random: float = 0.0) -> Registration:
    return Registration(
        "sip:carrier.example", "sip:tandem@carrier.example", CONTACT, "reg-1", "t1", expires_s, lambda: random
    )


def answer(status: int, *fields: tuple[str, str], cseq: int = 1, reason: str = "Because") -> Response:
    return Response(status, reason, Headers([("CSeq", f"{cseq} REGISTER"), *fields]))


def asked(actions: list[SendRegister]) -> int:
    [action] = actions
    return int(dict(action.headers)["Expires"])


def registered(expires_s: int = 3600, random: float = 0.0) -> Registration:
    machine = registration(expires_s, random)
    machine.start(0.0)
    assert machine.answered(answer(200), 0.0) == []
    assert machine.status.state is RegistrationState.REGISTERED
    return machine


def due(machine: Registration) -> float:
    deadline = machine.next_deadline()
    assert deadline is not None
    return deadline


def test_register() -> None:
    machine = registration()
    [action] = machine.start(1.0)
    assert action == SendRegister(
        "sip:carrier.example",
        (
            ("From", "<sip:tandem@carrier.example>;tag=t1"),
            ("To", "<sip:tandem@carrier.example>"),
            ("Contact", f"<{CONTACT}>"),
            ("Expires", "3600"),
        ),
        1,
        "reg-1",
    )
    assert machine.status.state is RegistrationState.REGISTERING
    assert machine.next_deadline() is None
    assert machine.start(1.0) == []


@pytest.mark.parametrize(
    ("fields", "granted_s"),
    [
        ([], 3600),
        ([("Expires", "600")], 600),
        ([("Contact", f"<{CONTACT}>;expires=300"), ("Expires", "600")], 300),
        ([("Contact", f'<sip:other@192.0.2.9>;expires=60, "We" <{CONTACT};ob>;expires="300"')], 300),
        ([("Contact", "<sip:tandem@192.0.2.1>;expires=300, <sip:a@b>;expires=20")], 300),
        ([("Contact", "<sip:tandem@203.0.113.5:33333>;expires=300")], 300),
        ([("Contact", "<sip:a@192.0.2.8>;expires=20, <sip:a@192.0.2.9>;expires=20"), ("Expires", "600")], 600),
        ([("Contact", f"<{CONTACT}>;expires=soon"), ("Expires", "Thu, 01 Dec 1994")], 3600),
        ([("Expires", "4000000000")], 3600),
    ],
)
def test_granted(fields: list[tuple[str, str]], granted_s: int) -> None:
    machine = registration()
    machine.start(0.0)
    machine.answered(answer(200, *fields), 10.0)
    assert machine.status.registered_until == 10.0 + granted_s
    assert machine.status.bound(9.0 + granted_s)
    assert not machine.status.bound(10.0 + granted_s)


@pytest.mark.parametrize(
    ("expires_s", "random", "refresh_at"),
    [(3600, 0.0, 3480.0), (3600, 0.5, 3306.0), (200, 0.0, 100.0), (60, 0.0, 30.0), (4, 0.0, MIN_WAIT_S)],
)
def test_refresh_time(expires_s: int, random: float, refresh_at: float) -> None:
    assert due(registered(expires_s, random)) == pytest.approx(refresh_at)


def test_refresh_keeps_call_id_raises_cseq_and_stays_registered() -> None:
    machine = registered(120)
    assert machine.expire(59.0) == []
    [action] = machine.expire(60.0)
    assert (action.call_id, action.cseq) == ("reg-1", 2)
    assert machine.status.state is RegistrationState.REGISTERED
    machine.answered(answer(200, cseq=2), 61.0)
    assert (machine.status.since, machine.status.registered_until) == (0.0, 181.0)


@pytest.mark.parametrize(
    ("response", "next_cseq"),
    [(answer(200, cseq=1), 2), (answer(200, cseq=3), 4), (None, 7), (answer(200, cseq=2**31 - 1), 7)],
)
def test_cseq_goes_on_from_what_challenges_used_up(response: Response | None, next_cseq: int) -> None:
    machine = registration()
    machine.start(0.0)
    machine.answered(response, 0.0)
    [action] = machine.expire(due(machine))
    assert action.cseq == next_cseq


def test_too_brief() -> None:
    machine = registration(60)
    machine.start(0.0)
    assert asked(machine.answered(answer(423, ("Min-Expires", "900")), 0.0)) == 900
    machine.answered(answer(200, cseq=2), 0.0)
    assert machine.status.registered_until == 900.0
    assert asked(machine.expire(due(machine))) == 900


@pytest.mark.parametrize("min_expires", ["60", "", "never", str(MAX_EXPIRES_S + 1)])
def test_too_brief_without_use(min_expires: str) -> None:
    machine = registration(60)
    machine.start(0.0)
    assert machine.answered(answer(423, ("Min-Expires", min_expires), reason="Interval Too Brief"), 0.0) == []
    assert (machine.status.state, machine.status.why) == (RegistrationState.FAILED, "423 Interval Too Brief")


def test_too_brief_for_ever() -> None:
    machine = registration(60)
    machine.start(0.0)
    sent = 0
    while sent < 10 and machine.answered(answer(423, ("Min-Expires", str(61 + sent))), 0.0):
        sent += 1
    assert sent == 3


@pytest.mark.parametrize(
    ("response", "earliest", "latest", "why"),
    [
        (None, 30, 60, "no answer from the registrar"),
        (answer(503), 30, 60, "503 Because"),
        (answer(480), 30, 60, "480 Because"),
        (answer(503, ("Retry-After", "120 (maintenance);duration=5")), 120, 132, "503 Because"),
        (answer(503, ("Retry-After", "0")), MIN_WAIT_S, MIN_WAIT_S, "503 Because"),
        (answer(503, ("Retry-After", "9999999999")), MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S * 1.1, "503 Because"),
        (answer(503, ("Retry-After", "soon")), 30, 60, "503 Because"),
        (answer(403), 900, 1800, "403 Because"),
        (answer(404), 900, 1800, "404 Because"),
        (answer(603), 900, 1800, "603 Because"),
        (
            answer(401),
            900,
            1800,
            "401 Because: username or password refused, or a challenge with no algorithm in common",
        ),
        (
            answer(302, ("Contact", "<sip:reg2.example>")),
            900,
            1800,
            "302 Because: the registrar is elsewhere, set it to sip:reg2.example",
        ),
        (
            answer(200, ("Contact", f"<{CONTACT}>;expires=0")),
            30,
            60,
            "the registrar granted no time to our contact",
        ),
    ],
)
def test_failure(response: Response | None, earliest: float, latest: float, why: str) -> None:
    for random, wait_s in ((0.0, earliest), (1.0, latest)):
        machine = registration(random=random)
        machine.start(0.0)
        assert machine.answered(response, 10.0) == []
        assert due(machine) == pytest.approx(10.0 + wait_s)
        status = machine.status
        assert (status.state, status.why, status.retry_at) == (RegistrationState.FAILED, why, due(machine))
        assert not status.bound(10.0)


def test_backoff_doubles_to_half_an_hour_and_a_success_forgets_it() -> None:
    machine = registration(random=1.0)
    machine.start(0.0)
    waits, now = [], 0.0
    for _ in range(8):
        machine.answered(None, now)
        waits.append(due(machine) - now)
        now = due(machine)
        assert len(machine.expire(now)) == 1
    assert waits == [60, 120, 240, 480, 960, MAX_WAIT_S, MAX_WAIT_S, MAX_WAIT_S]
    assert (machine.status.state, machine.status.since, machine.status.retry_at) == (RegistrationState.FAILED, 0, None)
    machine.answered(answer(200), now)
    assert machine.status.why == ""
    machine.expire(due(machine))
    machine.answered(None, now + 100)
    assert due(machine) == pytest.approx(now + 160)


def test_after_a_failed_refresh_the_old_binding_lives_on() -> None:
    machine = registered(3600)
    machine.expire(3480.0)
    machine.answered(None, 3512.0)
    status = machine.status
    assert (status.state, status.registered_until, status.bound(3599.0)) == (RegistrationState.FAILED, 3600.0, True)
    assert due(machine) + 32 < 3600
    machine.expire(due(machine))
    machine.answered(answer(200), 3545.0)
    assert (machine.status.state, machine.status.since) == (RegistrationState.REGISTERED, 3545.0)


def test_refresh_at_once() -> None:
    machine = registered()
    assert asked(machine.refresh(5.0)) == 3600
    assert machine.refresh(5.0) == []
    assert machine.next_deadline() is None
    assert registration().refresh(0.0) == []


@pytest.mark.parametrize("response", [answer(200), answer(503, reason="No"), None])
def test_stop(response: Response | None) -> None:
    machine = registered()
    assert asked(machine.stop(5.0)) == 0
    leaving = machine.status.state
    assert leaving is RegistrationState.UNREGISTERING
    assert machine.stop(5.0) == []
    assert machine.answered(response, 6.0) == []
    assert machine.next_deadline() is None
    assert machine.status.state is RegistrationState.UNREGISTERED
    removed = response is not None and response.status == 200
    assert machine.status.bound(7.0) is not removed
    assert bool(machine.status.why) is not removed
    assert asked(machine.start(8.0)) == 3600


def test_stop_waits_for_the_answer_in_flight() -> None:
    machine = registration()
    machine.start(0.0)
    assert machine.stop(1.0) == []
    assert asked(machine.answered(answer(200), 2.0)) == 0

    machine = registration()
    machine.start(0.0)
    machine.stop(1.0)
    assert machine.answered(None, 32.0) == []
    assert (machine.status.state, machine.next_deadline()) == (RegistrationState.UNREGISTERED, None)

    machine = registered()
    machine.expire(due(machine))
    machine.stop(3490.0)
    assert asked(machine.answered(answer(423, ("Min-Expires", "7200")), 3500.0)) == 0


def test_stop_without_a_binding_sends_nothing() -> None:
    machine = registration()
    assert machine.stop(0.0) == []
    machine.start(0.0)
    machine.answered(answer(403), 0.0)
    assert machine.stop(1.0) == []
    assert (machine.status.state, machine.next_deadline()) == (RegistrationState.UNREGISTERED, None)


def test_an_answer_to_nothing_changes_nothing() -> None:
    machine = registered()
    before = machine.status
    assert machine.answered(answer(403), 1.0) == []
    assert machine.status == before


@pytest.mark.parametrize("expires_s", [0, MAX_EXPIRES_S + 1])
def test_bounds_of_the_setting(expires_s: int) -> None:
    with pytest.raises(ValueError, match="between 1 and"):
        registration(expires_s)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([None, 200, 302, 401, 403, 423, 480, 500, 503, 603]),
            st.sampled_from([(), (("Retry-After", "7"),), (("Min-Expires", "5000"),), (("Expires", "90"),)]),
            st.floats(0, 40),
        ),
        max_size=30,
    ),
    stop_after=st.integers(0, 30),
)
def test_one_request_in_flight_or_a_deadline_until_stopped(
    steps: list[tuple[int | None, tuple[tuple[str, str], ...], float]], stop_after: int
) -> None:
    machine = registration(random=0.3)
    now, last_cseq = 0.0, 0
    actions = machine.start(now)
    for number, (status, fields, took_s) in enumerate(steps):
        if number == stop_after:
            actions += machine.stop(now)
        if actions:
            [action] = actions
            assert action.cseq > last_cseq
            last_cseq = action.cseq
            now += took_s
            actions = machine.answered(None if status is None else answer(status, *fields, cseq=last_cseq), now)
        elif (deadline := machine.next_deadline()) is not None:
            assert deadline > now
            now = deadline
            actions = machine.expire(now)
            assert len(actions) == 1
        else:
            assert machine.status.state is RegistrationState.UNREGISTERED
            break
