"""A conversation by text: the turn machine of a real call, in call time."""

import asyncio
from datetime import UTC, datetime

import pytest

from services.brain.agent import Agent, load_agent
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox
from tandem import businessapi
from tandem.textcall import AgentStuck, People, TextCall
from tandem.textcall.journals import Journals
from tandem.v1.call_pb2 import CallOutcome

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Scripted(ToolBox):
    """The front desk's tools, of which each answers what it is told to."""

    def __init__(self, agent: Agent, **values: object) -> None:
        super().__init__(agent.tools, agent.folder)
        self.values = values
        self.keys: list[str] = []

    async def call(self, name: str, arguments: dict[str, object], idempotency_key: str) -> ToolResult:
        self.keys.append(idempotency_key)
        return ToolResult(ok=True, value=self.values[name])


async def test_an_appointment_is_booked(front_desk: Agent, business_api: str) -> None:
    variables = {"BUSINESS_API_URL": business_api, "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}
    agent = load_agent(front_desk.folder, variables)
    tools = ToolBox(agent.tools, agent.folder)
    async with TextCall(agent, tools, caller_number="1001", answered=MONDAY) as call:
        assert call.greeting.agent_text == agent.greeting
        for line in ("I'd like an appointment on Thursday at ten", "Ann Lee", "five five five one two three four"):
            assert not (await call.say(line)).tools
        booked = await call.say("yes")
        assert [(tool.name, tool.ok) for tool in booked.tools] == [("book_appointment", True)]
        assert call.slots["name"] == "Ann Lee"
        last = await call.say("no thanks, goodbye")
        assert last.ended
        assert call.ended
    assert call.journal.outcome == CallOutcome.CALL_OUTCOME_AGENT_HUNG_UP
    assert call.journal.turns[1].caller_text == "I'd like an appointment on Thursday at ten"
    found = await businessapi.appointments(business_api)
    assert [(one["name"], one["start"]) for one in found] == [("Ann Lee", "2026-11-26T10:00:00")]
    await tools.aclose()


async def test_of_an_interrupted_answer_only_what_was_heard_is_kept(front_desk: Agent) -> None:
    async with TextCall(front_desk, Scripted(front_desk, find_slots={"slots": []})) as call:
        call.interrupt_after(4)
        cut = await call.say("where are you")
        assert (cut.agent_text, cut.speaking) == ("We're at twelve Riverside", True)
        after = await call.say("no wait, what are you able to do")
        assert not after.speaking
        assert "library" not in after.agent_text
        said = [one["content"] for one in call.messages if one["role"] == "assistant"]
        assert said[1] == "We're at twelve Riverside"


async def test_an_mm_hm_over_the_agent_is_no_interruption(front_desk: Agent) -> None:
    async with TextCall(front_desk, Scripted(front_desk)) as call:
        call.interrupt_after(4)
        await call.say("where are you")
        after = await call.say("mm-hm")
        assert after.agent_text.startswith("Walk, opposite the central library.")
        said = [one["content"] for one in call.messages if one["role"] == "assistant"]
        assert said[1].startswith("We're at twelve Riverside Walk, opposite")


async def test_a_silent_caller_is_asked_and_at_last_let_go(front_desk: Agent) -> None:
    async with TextCall(front_desk, Scripted(front_desk)) as call:
        assert (await call.wait(7.5)).agent_text == front_desk.silence.prompts[0]
        rest = await call.wait(60)
        assert rest.sentences == (front_desk.silence.prompts[1], front_desk.silence.goodbye)
        assert rest.ended


async def test_keys_are_a_turn(front_desk: Agent) -> None:
    async with TextCall(front_desk, Scripted(front_desk)) as call:
        await call.say("I'd like an appointment on Thursday at ten")
        await call.say("Ann Lee")
        await call.press("5551234")
        assert call.slots["phone"] == "5551234"


@pytest.mark.parametrize(("reached", "said"), [(True, "I'll put you through"), (False, "nobody can take the call")])
async def test_a_person_takes_the_call_or_does_not(front_desk: Agent, reached: bool, said: str) -> None:
    people = People(reached=reached)
    async with TextCall(front_desk, Scripted(front_desk), people=people) as call:
        handed = await call.say("I want to speak to a person")
        assert said in handed.agent_text
        assert handed.asked_for_person
        assert (handed.transferred, handed.ended) == (reached, reached)
        assert people.asked[0].reason == "The caller asked for a person."


async def test_another_brain_goes_on_from_the_journal(front_desk: Agent) -> None:
    journals = Journals()
    facts = {"journals": journals, "call_id": "c1", "answered": MONDAY}
    first = TextCall(front_desk, Scripted(front_desk), **facts)  # type: ignore[arg-type]
    async with first:
        await first.say("I'd like an appointment on Thursday at ten")
        async with TextCall(front_desk, Scripted(front_desk), **facts) as second:  # type: ignore[arg-type]
            assert second.greeting.agent_text == ""
            assert "phone number" in (await second.say("Ann Lee")).agent_text
            assert second.slots["start"] == "2026-11-26T10:00:00"


async def test_a_call_that_was_hung_up_takes_no_more(front_desk: Agent) -> None:
    async with TextCall(front_desk, Scripted(front_desk)) as call:
        assert (await call.hang_up()).ended
        with pytest.raises(RuntimeError, match="the call is over"):
            await call.say("hello")
    assert call.journal.outcome == CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP


async def test_an_answer_that_does_not_end_is_told(front_desk: Agent) -> None:
    class Stuck(Scripted):
        async def call(self, name: str, arguments: dict[str, object], idempotency_key: str) -> ToolResult:
            await asyncio.sleep(1.0)
            return ToolResult(ok=True)

    call = TextCall(front_desk, Stuck(front_desk), within_s=0.3)
    with pytest.raises(AgentStuck, match="THINKING"):
        async with call:
            await call.say("what are your opening hours")
