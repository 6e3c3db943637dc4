"""An answer made before the turn is surely over (DESIGN §6): kept when it was, without a trace when it was not.

The model is asked and the voice speaks, into the gateway's buffer: nothing is released before the turn machine says
Respond. No tool is called before that, nor is the call ended or transferred.
"""

from typing import TYPE_CHECKING

from services.brain.reply import Reply
from services.brain.turn_events import Respond

if TYPE_CHECKING:
    from services.brain.conversation import Conversation


class Speculation:
    """One answer to `turn`; ended by `confirm` or `discard`."""

    def __init__(self, conversation: "Conversation", turn: Respond, now_us: int) -> None:
        self.turn = turn
        self._call = conversation
        self._before = conversation.history.state()
        self._said_once = set(conversation.said_once)
        conversation.history.take(turn)
        self._log_turn = conversation.log.begin(turn, now_us, speculative=True)
        self._reply = Reply(conversation, self._log_turn, confirmed=False)
        self._reply.answer()

    def confirm(self, now_us: int, why: str = "") -> Reply:
        """The turn is over, and `why`: the reply goes on as any other."""
        self._call.log.confirmed(self._log_turn, now_us, why)
        self._reply.confirm()
        return self._reply

    def discard(self, now_us: int) -> None:
        """The caller went on."""
        self._reply.abandon()
        self._call.voice.stop(self._log_turn)
        self._call.log.discarded(self._log_turn, now_us)
        self._call.history.restore(self._before)
        self._call.said_once = self._said_once  # nobody heard what was said for this answer
