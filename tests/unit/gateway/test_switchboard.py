"""What happens in answered calls, and that each of them ends once."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from services.common.telemetry import names
from services.gateway.sip.call import Call, CallState, CallStateError
from tests.unit.gateway.office import Agent, sdp


def send(one, call, method: str, body: bytes = b"", fields=()) -> None:
    carrier = one.carrier
    carrier.do(carrier.agent._calls.request(call, method, one.clock.now, lambda *done: [], list(fields), body))


async def test_hung_up_within_a_tick(office) -> None:
    one = office(media_timeout_s=1)
    call = one.carrier.invite("front_desk")
    one.run(2)
    one.ticks.tick()
    one.settle()
    assert one.agents[0].ends == [(False, "media timeout")]
    assert one.carrier.ended(call) is not None
    one.assert_clean()


async def test_hung_up_within_the_first_tick(office, monkeypatch) -> None:
    """A DTLS handshake may have failed before the answer."""
    monkeypatch.setattr(Agent, "slot", lambda self, now_us: self.hang_up("no media"))
    one = office()
    one.carrier.invite("front_desk")
    assert one.agents[0].ends == [(False, "no media")]
    one.assert_clean()


async def test_too_long(office) -> None:
    one = office(max_call_s=30)
    one.carrier.invite("front_desk")
    one.run(31)
    assert one.agents[0].ends == [(False, "call too long")]
    one.assert_clean()


async def test_hung_up_twice(office, spans) -> None:
    one = office()
    one.carrier.invite("front_desk")
    (live,) = one.board.calls.values()
    one.board.hang_up(live, "first")
    one.board.hang_up(live, "second")
    one.settle()
    assert one.agents[0].ends == [(False, "first")]
    assert [span.name for span in spans.get_finished_spans()] == [names.CALL_SETUP, names.CALL_HANGUP]
    one.assert_clean()


async def test_whoever_watches_the_trunks_keeps_no_slot_taken(office) -> None:
    one = office()
    call = one.carrier.invite("echo")
    one.board.call_over = lambda ended: 1 / 0
    one.carrier.bye(call)
    one.assert_clean()


async def test_keys_by_info(office) -> None:
    one = office()
    agent, echo = one.carrier.invite("front_desk"), one.carrier.invite("echo")
    for call in (agent, echo):
        send(one, call, "INFO", b"Signal=5\r\nDuration=160\r\n", [("Content-Type", "application/dtmf-relay")])
    assert one.agents[0].keys == ["5"]
    assert len(one.board.calls) == 2


async def test_no_answer_in_the_ack(office) -> None:
    one = office()
    call = one.carrier.invite("front_desk", offer=b"")
    one.carrier.do(one.carrier.agent.acknowledge(call, b"", one.clock.now))
    assert one.agents[0].ends == [(False, "no SDP answer")]
    one.assert_clean()


async def test_an_unusable_answer_in_the_ack(office) -> None:
    one = office()
    call = one.carrier.invite("front_desk", offer=b"")
    one.carrier.do(one.carrier.agent.acknowledge(call, sdp(0), one.clock.now))
    assert one.agents[0].ends == [(False, "unusable SDP answer")]
    one.assert_clean()


@pytest.mark.parametrize("count", [3])
async def test_a_full_gateway_takes_exactly_as_many(office, count) -> None:
    one = office(max_calls=count)
    calls = [one.carrier.invite("echo") for _ in range(2 * count)]
    assert len(one.board.calls) == count
    for call in calls:
        one.carrier.bye(call)
    one.assert_clean()


async def test_the_call_ids_that_are_kept_are_bounded(office, monkeypatch) -> None:
    monkeypatch.setattr("services.gateway.switchboard.MAX_CALLS", 3)
    one = office()
    for index in range(5):
        for place in range(20):
            one.board.known_as(f"call {index}", f"dialog {place}")
    assert list(one.board.sip_call_ids) == ["call 2", "call 3", "call 4"]
    assert one.board.sip_call_ids["call 4"] == tuple(f"dialog {place}" for place in range(12, 20))


ROUTES = [
    {"called": "agent", "agent": "front_desk"},
    {"called": "ring", "echo": True, "ring_s": 2},
    {"called": "early", "agent": "front_desk", "ring_s": 2, "early_media": True},
]


@pytest.mark.parametrize("seed", range(60))
async def test_whatever_happens_nothing_is_left(office, seed) -> None:
    """Both sides do what comes to their minds; each call of the agent's ends once, and nothing is held."""
    dice = random.Random(seed)
    one = office(routes=ROUTES, max_calls=4)
    carrier, board = one.carrier, one.board
    made: list[Call] = []

    def replaced(call: Call) -> list[tuple[str, str]]:
        dialog = call.dialog
        return [("Replaces", f"{dialog.call_id};to-tag={dialog.remote_tag or '0'};from-tag={dialog.local_tag}")]

    def act() -> None:
        every = [*made, *carrier.called]
        call = dice.choice(every) if every else None
        match dice.randrange(12):
            case 0 | 1:
                made.append(carrier.invite(dice.choice(["agent", "ring", "early", "nobody"])))
            case 2:
                one.run(dice.choice([0.1, 1, 3, 25]))
            case 3:
                one.place(to=dice.choice(["+4930111", "+1900"]))
            case 4 if board.calls:
                board.hang_up(dice.choice(list(board.calls.values())), "over")
                one.settle()
            case 5 if call:
                made.append(carrier.invite("agent", headers=replaced(call)))
            case 6 if call and call.state is CallState.CONFIRMED:
                with suppress(CallStateError):
                    carrier.do(carrier.agent.refer(call, "sip:+4930222@127.0.0.1:5070", one.clock.now))
            case 7 if call and not call.inbound:
                carrier.bye(call)
            case 8 | 9 if call and call.inbound and call.state is CallState.PROCEEDING:
                step = dice.choice(["answer", "ringing", "progress", "reject"])
                given = {"answer": (sdp(4100),), "ringing": (), "progress": (sdp(4100),), "reject": (486,)}[step]
                carrier.do(getattr(carrier.agent, step)(call, *given, one.clock.now))
            case 10 if call and call.state is CallState.CONFIRMED:
                carrier.bye(call)
            case 11:
                dice.choice([one.ticks.tick, one.ticks.tick, one.ticks.tick, one.ticks.fail])()
                one.settle()
        assert board.admission.taken <= 4
        assert {live.facts.call_id for live in board.live.values()} <= set(board.calls)

    for _ in range(40):
        act()
    for live in list(board.calls.values()):
        board.hang_up(live, "over")
    board.close()
    one.settle()
    assert [len(agent.ends) for agent in one.agents] == [1] * len(one.agents)
    one.assert_clean()


async def test_an_agent_of_a_call_that_could_not_begin_is_told(office, monkeypatch) -> None:
    """It has begun to record."""

    def broken(*args: object) -> None:
        raise OSError("no media")

    one = office()
    monkeypatch.setattr(one.board.media, "session", broken)
    one.carrier.invite("front_desk")
    assert one.agents[0].ends == [(False, "internal error")]
    one.assert_clean()


async def test_a_call_that_can_not_end_well_leaves_its_bridge(office, monkeypatch) -> None:
    def broken(*args: object) -> None:
        raise OSError("no end")

    one = office()
    call = one.carrier.invite("front_desk")
    (live,) = one.board.calls.values()
    one.board.bridges.hold(live, True)
    assert one.board.bridges.conference(live) is not None
    with monkeypatch.context() as patched, suppress(OSError):
        patched.setattr(type(live), "end", broken)
        one.carrier.do(one.carrier.agent.bye(call, one.clock.now))
        one.settle()
    assert one.board.bridges.conference(live) is None
    assert not one.board.calls
    live.end(True, "BYE")
