"""When a partial of what is being said is due. Pure: call times in, yes or no out.

Partials cost passes, so they are made where early words decide something: over the agent's speech, where they tell an
interruption from an "mm-hm".
"""

from typing import Literal

from services.asr.segment import Segment

When = Literal["over_agent", "always", "never"]

FIRST_US = 400_000
"""Of speech: a word or two. In less, Whisper hears what is not there."""
COVERS_US = 60_000
"""A clip that goes on this long after the last speech sample has all of the utterance: the murmur at the end of a word
lies within it, and the level by which the last sample is found moves less."""


def covers(clip: Segment, ended_us: int) -> bool:
    """Does the clip have all of an utterance that ended with the speech sample at ended_us?"""
    return clip.end_us - ended_us >= COVERS_US


class Partials:
    """One call's partials. An utterance over which the agent was heard once gets them to its end: the agent is paused
    at the first sound, and whether it was an interruption is decided only then."""

    def __init__(self, when: When, every_ms: int) -> None:
        self._when = when
        self._every_us = every_ms * 1000
        self._agent_speaks = False
        self._on = False
        self._started_us: int | None = None
        self._asked_us: int | None = None

    def agent_speaks(self, speaking: bool) -> None:
        """Whether the agent is heard now."""
        self._agent_speaks = speaking
        if speaking and self._when == "over_agent":
            self._on = True

    def began(self, started_us: int) -> None:
        """An utterance began with the sample at started_us."""
        self._started_us = started_us
        self._asked_us = None
        self._on = self._when == "always" or (self._when == "over_agent" and self._agent_speaks)

    def due(self, heard_to_us: int, speech_to_us: int) -> bool:
        """Is a partial due, when audio was heard up to heard_to_us and speech up to speech_to_us?"""
        if not self._on or self._started_us is None or speech_to_us - self._started_us < FIRST_US:
            return False
        if self._asked_us is None:
            return True
        news = speech_to_us > self._asked_us - COVERS_US
        return news and heard_to_us - self._asked_us >= self._every_us

    def asked(self, heard_to_us: int) -> None:
        """A pass was asked for, over all up to heard_to_us."""
        self._asked_us = heard_to_us

    def ended(self) -> None:
        """The utterance is over."""
        self._started_us = None
        self._on = False
