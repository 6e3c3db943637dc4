"""The answer that is being made while the turn may go on: one at a time, and not too many. Pure."""

from dataclasses import dataclass

from services.brain.turn_events import Discard, Output, Respond, Speculate


@dataclass(slots=True)
class Foresight:
    """`turn` is what an answer is being made for."""

    turn: Respond | None = None
    _begun: int = 0

    def begin(self, turn: Respond, most: int) -> list[Output]:
        """Speculate on this turn, unless `most` answers were begun for it already."""
        if turn == self.turn:
            return []
        out = self.drop()
        if self._begun < most:
            self._begun += 1
            self.turn = turn
            out.append(Speculate(turn))
        return out

    def drop(self) -> list[Output]:
        """The turn was not over."""
        if self.turn is None:
            return []
        self.turn = None
        return [Discard()]

    def keeps(self, turn: Respond) -> bool:
        """The turn is over: was an answer made for it? If not, one that was made for another is still to be dropped."""
        self._begun = 0
        if turn != self.turn:
            return False
        self.turn = None
        return True
