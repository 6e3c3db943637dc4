"""The front desk's script against the running booking system: text in, appointments out."""

from datetime import datetime
from pathlib import Path

import httpx

from services.brain.agent import load_agent
from services.brain.script.answer import Answer
from services.brain.script.flow import Dialogue
from services.brain.script.provider import ScriptedAgent
from services.brain.tools.toolbox import ToolBox

FRONT_DESK = Path(__file__).parents[3] / "agents" / "front_desk"


class Call:
    """A caller who types."""

    def __init__(self, url: str) -> None:
        agent = load_agent(FRONT_DESK, {"BUSINESS_API_URL": url, "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"})
        self.tools = ToolBox(agent.tools)
        self.dialogue: Dialogue = ScriptedAgent(agent).dialogue(datetime(2026, 11, 23, 9, 0))
        self.called: list[str] = []

    async def says(self, text: str) -> str:
        answer: Answer = self.dialogue.hear(text)
        while answer.call and answer.call.name in self.tools:
            self.called.append(answer.call.name)
            result = await self.tools.call(answer.call.name, answer.call.arguments, f"{id(self)}-{len(self.called)}")
            value = {"ok": result.ok, "value": result.value, "code": result.code}
            answer = self.dialogue.tool_finished(answer.call.name, value)
        return answer.text


def read(api: httpx.Client, what: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = api.get(f"/{what}").json()[what]
    return rows


async def test_book_find_it_taken_move_and_cancel(api: httpx.Client) -> None:
    call = Call(str(api.base_url))
    await call.says("Hello, I'd like an appointment next Tuesday at ten, my name is Maria Lopez")
    assert "Is that right?" in await call.says("555 0142 789")
    assert (await call.says("yes")).startswith("You're booked: Tuesday the twenty-fourth of November at ten")
    (booked,) = read(api, "appointments")
    assert (booked["name"], booked["phone"], booked["start"]) == ("Maria Lopez", "5550142789", "2026-11-24T10:00:00")

    other = Call(str(api.base_url))
    await other.says("book me in for Tuesday at ten for John Smith, 5550199000")
    taken = await other.says("yes")
    assert taken.startswith("I'm sorry, that time is taken. I have Tuesday the twenty-fourth of November at nine")
    await other.says("half past nine")
    assert "You're booked: Tuesday the twenty-fourth of November at half past nine" in await other.says("yes please")

    assert "Friday the twenty-seventh" in await call.says("I need to move my appointment to Friday at two")
    assert "It's moved" in await call.says("yes")
    assert "Shall I cancel it?" in await call.says("actually please cancel my appointment")
    assert "It's cancelled" in await call.says("yes")
    assert [row["action"] for row in read(api, "ledger")] == ["book", "book", "move", "cancel"]
    await call.tools.aclose()
    await other.tools.aclose()


async def test_questions_and_refusals(api: httpx.Client) -> None:
    call = Call(str(api.base_url))
    assert "closed" in await call.says("are you open on Sunday?")
    assert (await call.says("what are your opening hours")).startswith("We're open Monday to Friday")
    assert "at noon" in await call.says("what do you have on Tuesday afternoon?")
    await call.says("book me in for Sunday at ten for John Smith, 5550199000")
    assert "We're closed on Sundays." in await call.says("yes")
    await call.tools.aclose()


async def test_a_booking_system_that_is_down_is_told_honestly() -> None:
    call = Call("http://127.0.0.1:9")
    await call.says("book me in for Tuesday at ten for Maria Lopez, 5550142789")
    told = await call.says("yes")
    assert told.startswith("I'm sorry, our booking system isn't answering, so I can't see whether that is booked.")
    assert "are you open" not in told
    assert (await call.says("are you open on Saturday")).startswith("I'm sorry, I can't look up our hours right now.")
    await call.tools.aclose()
