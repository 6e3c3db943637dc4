"""What the caller heard of an utterance, to the word: samples played, mapped by the TTS's alignment (DESIGN §3)."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word as written, and the samples of the utterance on which it is spoken."""

    text: str
    start_sample: int
    end_sample: int


@dataclass(slots=True)
class HeardText:
    """One utterance. Words come in order, a clause at a time."""

    words: list[AlignedWord] = field(default_factory=list)
    samples_played: int = 0

    def text(self) -> str:
        """The words of which at least half was heard."""
        played = self.samples_played
        return " ".join(one.text for one in self.words if (one.start_sample + one.end_sample) / 2 <= played)

    def resume_sample(self) -> int:
        """Where to go on after a pause: the beginning of the word that was cut, or of the one before a clean cut."""
        at = 0
        for one in self.words:
            if one.start_sample >= self.samples_played:
                break
            at = one.start_sample
        return at
