"""Keys that the caller presses, collected to one input: RFC 4733 events are a turn like words. Pure."""

from dataclasses import dataclass

from services.brain.turn_events import Respond

_TERMINATOR = "#"


@dataclass(slots=True)
class Keys:
    """The digits so far."""

    digits: str = ""
    _from_us: int = 0

    def press(self, digit: str, now_us: int) -> bool:
        """True when this key ends the input; the terminator itself is no part of it."""
        if not self.digits:
            self._from_us = now_us
        if digit == _TERMINATOR:
            return True
        self.digits += digit
        return False

    def clear(self) -> None:
        self.digits = ""

    def turn(self, now_us: int) -> Respond:
        """The digits as the caller's turn."""
        return Respond(self.digits, self.digits, self._from_us, now_us, keyed=True, why="keys")
