"""Topics an agent keeps to: rules for the prompt, and words by which a breach is heard. Pure."""

import re

from services.brain.agent.guard import Topics
from services.brain.guardrails.stream_words import stands_alone


def topic_rules(topics: Topics) -> str:
    """For the system prompt; empty when the agent has no topic limits."""
    rules = []
    if topics.only:
        rules.append(
            f"- Talk only about: {topics.only}. For anything else say kindly that you cannot help with it here."
        )
    if topics.avoid:
        rules.append(f"- Never talk about: {', '.join(topics.avoid)}. If the caller does, say so and lead back.")
    return "\n".join(rules)


class TopicWords:
    """Looks for the words of topics to avoid. Whole words; a `*` at the end of one takes any ending ("elect*")."""

    def __init__(self, topics: Topics) -> None:
        self._patterns = {topic: _pattern(words or [topic]) for topic, words in topics.avoid.items()}

    @property
    def any(self) -> bool:
        """There is something to look for."""
        return bool(self._patterns)

    def found(self, text: str) -> str:
        """The topic that a clause gives away, or empty."""
        return next((topic for topic, pattern in self._patterns.items() if pattern.search(text)), "")


def _pattern(phrases: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(_phrase(one) for one in phrases), re.IGNORECASE)


def _phrase(phrase: str) -> str:
    words = [
        re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "")
        for word in phrase.split()
        if word.strip("*")
    ]
    joined = r"[\s-]+".join(words)
    if any(map(stands_alone, phrase)):
        return joined  # no spaces, so no ends of words
    return rf"(?<!\w){joined}(?!\w)"
