"""What the caller has said since their turn began: utterances between silences, their words, and keys. Pure."""

from dataclasses import dataclass, field

from services.brain.turn_events import Respond

# Two judgements of the same silence: asr may move the last sample by a window or two.
_SAME_STOP_US = 60_000


@dataclass(slots=True)
class CallerUtterance:
    """What the caller said between two silences; None for what is not known yet."""

    started_us: int
    stopped_us: int | None = None
    text: str | None = None
    partial: str | None = None
    """Words so far; empty when a pass found none."""
    confidence: float = 1.0
    """Of the words, as far as they are known, 0 to 1"""
    end_judged: tuple[int, float] | None = None
    """(last speech sample that was judged, probability that it is the end)"""


@dataclass(slots=True)
class CallerTurn:
    """All times are call times in microseconds."""

    utterances: dict[int, CallerUtterance] = field(default_factory=dict)
    overdue: bool = False
    """A transcript did not come in time."""

    def began(self, utterance: int, at_us: int) -> None:
        self.utterances[utterance] = CallerUtterance(at_us)

    def clear(self) -> None:
        self.utterances.clear()
        self.overdue = False

    def forget_unknown(self) -> bool:
        """Leaves out what has no words yet; whether there was any."""
        known = {key: one for key, one in self.utterances.items() if one.text is not None}
        lost = len(known) < len(self.utterances)
        self.utterances = known
        return lost

    def wordless_from_now(self) -> None:
        """What has no transcript will have none."""
        for one in self.utterances.values():
            self.overdue = self.overdue or one.text is None
            one.text = one.text or ""

    @property
    def understood(self) -> bool:
        """Every utterance has its transcript."""
        return all(one.text is not None for one in self.utterances.values())

    @property
    def speaking(self) -> bool:
        return any(one.stopped_us is None for one in self.utterances.values())

    @property
    def text(self) -> str:
        return " ".join(one.text for _, one in sorted(self.utterances.items()) if one.text)

    @property
    def confidence(self) -> float:
        """Recognition's, of the last words."""
        return next((one.confidence for _, one in sorted(self.utterances.items(), reverse=True) if one.text), 1.0)

    @property
    def stopped_us(self) -> int:
        """Last speech sample, of what has begun."""
        return max(one.stopped_us or one.started_us for one in self.utterances.values())

    @property
    def speech_us(self) -> int:
        """Length of all speech that is over."""
        return sum((one.stopped_us or one.started_us) - one.started_us for one in self.utterances.values())

    @property
    def end_probability(self) -> float | None:
        """What the sound says of the last silence; None when it was not judged."""
        last = max(self.utterances.values(), key=lambda one: one.started_us)
        if last.end_judged is None or last.stopped_us is None:
            return None
        at_us, probability = last.end_judged
        return probability if abs(at_us - last.stopped_us) <= _SAME_STOP_US else None

    def words_so_far(self) -> str | None:
        """Of all that was said, empty when passes found none; None while no pass over what is being said is known."""
        if any(one.text is None and one.partial is None for one in self.utterances.values()):
            return None
        said = (one.partial or "" if one.text is None else one.text for _, one in sorted(self.utterances.items()))
        return " ".join(filter(None, said))

    def respond(self, text: str) -> Respond:
        """The turn as one, with these words."""
        first = min(one.started_us for one in self.utterances.values())
        return Respond(text, text, first, self.stopped_us)
