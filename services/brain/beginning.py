"""How a conversation begins: with the greeting, or where another brain left it."""

import json
from typing import TYPE_CHECKING

from services.brain.context.model_context import ModelContext
from services.brain.history import History
from services.brain.models import call_of
from services.brain.turn_events import ReplyBegan, TakenOver
from services.brain.turn_profile import Situation
from tandem.v1.call_pb2 import CallJournal, CallNotice

if TYPE_CHECKING:
    from services.brain.conversation import Conversation


def begin(call: "Conversation", journal: CallJournal, taken_over: bool) -> None:
    """Opens the recogniser, and says what is to be said."""
    if not taken_over:
        call.chronicle.tell(CallNotice(started=call.facts))
        call.ears.open()
        call.speak_unasked(call.agent.greeting, "greeting", Situation.GREETING)
        return
    call.history = History(call.system, json.loads(journal.messages_json or "[]"))
    call.log.resume_behind(journal.turns)
    call.turns_taken = sum(bool(turn.caller_text) for turn in journal.turns)
    call.tool_calls.asked = len(journal.tools)
    call.guard.limits.resume(call.use())
    call.ears.open(max((turn.caller_stopped_us for turn in journal.turns), default=0))
    call.tool_calls.resume()
    call.flow.restore(journal)
    if call.flow.active:
        call.feed(ReplyBegan())
        call.start_reply(call.begin_unasked("take-over")).in_flow(None)
    elif call.history.awaits_answer():
        call.feed(ReplyBegan())
        asked = [call_of(message) for message in call.history.calls_under_way()]
        under_way = [one for one in asked if not call.tool_calls.is_under_way(one)]
        call.start_reply(call.begin_unasked("take-over")).answer(under_way)
    elif not journal.turns:
        call.speak_unasked(call.agent.greeting, "greeting", Situation.GREETING)
    else:
        call.feed(TakenOver())


async def remember(call: "Conversation") -> None:
    """What earlier calls of the number left: there before the caller has said anything."""
    if call.around.records is None or call.agent.memory is None:
        return
    left = await call.around.records.remembered(call.agent.memory, call.facts, call.agent.zone)
    if left:
        call.context = ModelContext(call.agent, call.facts, call.answered, call.system, left)
