"""A live call goes on elsewhere: who is told, what is freed, and when."""

from __future__ import annotations

from services.gateway.sip.call import Call
from services.gateway.sip.events import CallAnswered, ReferNotified


def replaces(call: Call, early: str = "") -> list[tuple[str, str]]:
    dialog = call.dialog
    return [("Replaces", f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}{early}")]


def refer(one, call: Call, number: str = "+4930111") -> None:
    one.carrier.do(one.carrier.agent.refer(call, f"sip:{number}@127.0.0.1:5070", one.clock.now))


def notified(one) -> list[int | None]:
    return [event.status for event in one.carrier.of(ReferNotified)]


async def test_replaces_moves_the_agent_and_keeps_the_slot(office) -> None:
    one = office(max_calls=1)
    first = one.carrier.invite("front_desk")
    (live,) = one.board.calls.values()
    second = one.carrier.invite("front_desk", headers=replaces(first))
    assert [event.call for event in one.carrier.of(CallAnswered)] == [first, second]
    ended = one.carrier.ended(first)
    assert ended is not None
    assert "Call completed elsewhere" in ended.detail
    assert list(one.board.calls.values()) == [live]
    assert one.agents[0].ends == []
    assert one.board.admission.taken == 1
    refused = one.carrier.invite("front_desk")
    assert one.carrier.ended(refused).status == 503  # the one slot is still in use
    one.carrier.bye(second)
    assert one.agents[0].ends == [(True, "BYE")]
    one.assert_clean()


async def test_a_call_that_was_moved_twice_gives_its_slot_back_once(office) -> None:
    one = office(max_calls=1)
    call = one.carrier.invite("front_desk")
    for _ in range(2):
        call = one.carrier.invite("front_desk", headers=replaces(call))
    assert one.board.admission.taken == 1
    (live,) = one.board.calls.values()
    one.board.hang_up(live, "over")
    one.settle()
    assert one.agents[0].ends == [(False, "over")]
    one.assert_clean()


async def test_whoever_watches_the_trunk_hears_that_both_were_answered(office) -> None:
    one = office()
    told: list[bool] = []
    one.board.call_over = lambda ended: told.append(ended.call in one.board.live)
    first = one.carrier.invite("front_desk")
    one.carrier.bye(one.carrier.invite("front_desk", headers=replaces(first)))
    assert told == [True, True]


async def test_the_facts_and_the_messages_follow_the_call(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    second = one.carrier.invite("front_desk", headers=replaces(first))
    (live,) = one.board.calls.values()
    assert live.facts.sip_call_id == second.call_id
    assert one.board.sip_call_ids[live.facts.call_id] == (first.call_id, second.call_id)


async def test_refer_is_followed_and_the_old_leg_ends(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    (target,) = one.carrier.called
    assert target.called_number == "+4930111"
    assert target.caller_number == "front_desk"
    one.carrier.answer(target)
    assert notified(one) == [100, 200]
    assert one.carrier.ended(first) is not None
    assert one.agents[0].ends == []
    assert one.board.admission.taken == 1
    one.ticks.tick()
    assert one.ports[0].sent[-1][1] == ("127.0.0.1", 4100)
    one.carrier.bye(target)
    assert one.agents[0].ends == [(True, "BYE")]
    one.assert_clean()


async def test_refer_after_refer_shows_our_number_and_not_the_callers(office) -> None:
    one = office()
    refer(one, one.carrier.invite("front_desk"))
    one.carrier.answer(one.carrier.called[0])
    refer(one, one.carrier.called[0], "+4930112")
    assert one.carrier.called[1].caller_number == "front_desk"


async def test_whom_the_caller_says_to_have_called_writes_no_headers(office) -> None:
    one = office(fallback={"agent": "front_desk"})
    refer(one, one.carrier.invite("x%22%3E%3By%3D%3Cz"))
    (target,) = one.carrier.called
    assert target.caller_number == "+4930999"


async def test_minutes_of_a_followed_refer_cost(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    one.carrier.answer(one.carrier.called[0])
    caps = one.board.caps["carrier"]
    assert caps.running == 1
    one.run(60)
    assert caps.left_s(one.clock.now) == 540
    one.run(541)
    assert one.agents[0].ends == [(False, "the trunk's minutes of the day are used up")]
    one.assert_clean()


async def test_a_call_of_ours_that_the_carrier_takes_over_costs_no_more(office) -> None:
    one = office()
    one.place()
    one.carrier.answer(one.carrier.called[0])
    caps = one.board.caps["carrier"]
    one.run(60)
    new = one.carrier.invite("front_desk", headers=replaces(one.carrier.called[0]))
    assert one.agents[0].ends == []
    assert caps.running == 0
    one.run(60)
    assert caps.left_s(one.clock.now) == 540
    one.carrier.bye(new)
    one.assert_clean()


async def test_whoever_refers_may_hang_up_before_the_target_answers(office) -> None:
    """RFC 5589 §6: a blind transfer; the agent waits on hold for the target."""
    one = office(max_calls=1)
    first = one.carrier.invite("front_desk")
    refer(one, first)
    one.carrier.bye(first)
    (agent,) = one.agents
    assert (agent.ends, agent.holds) == ([], [True])
    assert one.board.admission.taken == 1
    sent = len(one.ports[0].sent)
    one.ticks.tick()
    assert len(one.ports[0].sent) == sent  # nobody is there to hear it
    one.carrier.answer(one.carrier.called[0])
    assert (agent.ends, agent.holds) == ([], [True, False])
    one.ticks.tick()
    assert one.ports[0].sent[-1][1] == ("127.0.0.1", 4100)
    one.carrier.bye(one.carrier.called[0])
    assert agent.ends == [(True, "BYE")]
    one.assert_clean()


async def test_a_blind_transfer_that_fails_ends_the_call(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    one.carrier.bye(first)
    one.carrier.do(one.carrier.agent.reject(one.carrier.called[0], 486, one.clock.now))
    assert one.agents[0].ends == [(True, "BYE")]
    one.assert_clean()


async def test_a_call_without_a_leg_can_be_hung_up(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    one.carrier.bye(first)
    (live,) = one.board.calls.values()
    one.board.hang_up(live, "enough")
    one.settle()
    assert one.agents[0].ends == [(False, "enough")]
    one.assert_clean()


async def test_a_target_that_rings_for_ever_is_given_up(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    (target,) = one.carrier.called
    one.carrier.do(one.carrier.agent.ringing(target, one.clock.now))
    one.run(21)
    assert one.carrier.ended(target) is not None
    assert notified(one) == [100, 180, 408]
    assert one.agents[0].ends == []
    one.carrier.bye(first)
    one.assert_clean()


async def test_a_target_that_refuses_leaves_the_call_as_it_was(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    one.carrier.do(one.carrier.agent.reject(one.carrier.called[0], 486, one.clock.now))
    assert notified(one) == [100, 486]
    one.carrier.bye(first)
    one.assert_clean()


async def test_replaces_on_a_call_that_is_being_referred(office) -> None:
    """Whoever takes the call over keeps the agent: the target of the old REFER is called no more."""
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    (target,) = one.carrier.called
    one.carrier.do(one.carrier.agent.ringing(target, one.clock.now))
    second = one.carrier.invite("front_desk", headers=replaces(first))
    assert one.carrier.ended(target) is not None
    assert one.agents[0].ends == []
    one.carrier.bye(second)
    assert one.agents[0].ends == [(True, "BYE")]
    one.assert_clean()


async def test_the_target_answers_with_nothing_to_talk_by(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    answer = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
    one.carrier.do(one.carrier.agent.answer(one.carrier.called[0], answer, one.clock.now))
    assert notified(one) == [100, 488]
    assert one.agents[0].ends == []
    one.carrier.bye(first)
    one.assert_clean()


async def test_the_agent_hangs_up_while_the_target_rings(office) -> None:
    one = office()
    refer(one, one.carrier.invite("front_desk"))
    (live,) = one.board.calls.values()
    one.board.hang_up(live, "over")
    one.settle()
    assert one.carrier.ended(one.carrier.called[0]) is not None
    assert one.agents[0].ends == [(False, "over")]
    one.assert_clean()


async def test_a_held_call_that_moves_is_held_no_more(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk", offer=HELD)
    assert one.agents[0].holds == [True]
    second = one.carrier.invite("front_desk", headers=replaces(first))
    assert one.agents[0].holds == [True, False]
    one.carrier.bye(second)
    one.assert_clean()


HELD = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8\r\na=sendonly\r\n"
)


async def test_replaces_without_an_offer_is_refused_and_the_call_goes_on(office) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    second = one.carrier.invite("front_desk", offer=b"", headers=replaces(first))
    assert one.carrier.ended(second).status == 488
    assert one.carrier.ended(first) is None
    one.carrier.bye(first)
    one.assert_clean()
