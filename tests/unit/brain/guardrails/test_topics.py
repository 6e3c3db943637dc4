"""Topics: as rules in the prompt, and as words that are looked for in what the agent says."""

import pytest

from services.brain.agent.guard import Topics
from services.brain.guardrails.topics import TopicWords, topic_rules

TOPICS = Topics.model_validate(
    {
        "only": "appointments and opening hours",
        "avoid": {"politics": ["elect*", "prime minister"], "Aktien": [], "天気": ["天気", "台風"]},
    }
)


def test_rules_for_the_prompt() -> None:
    assert topic_rules(Topics()) == ""
    told = topic_rules(TOPICS)
    assert "only about: appointments and opening hours" in told
    assert "Never talk about: politics, Aktien, 天気" in told


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("The elections are near.", "politics"),
        ("ELECT him", "politics"),
        ("The prime-minister said", "politics"),
        ("The Prime\nMinister's car", "politics"),
        ("You can select a time.", ""),
        ("Our prime ministers", ""),
        ("Kaufen Sie Aktien!", "Aktien"),
        ("Unsere Aktienkurse", ""),
        ("今日の天気は", "天気"),
        ("台風です", "天気"),
        ("", ""),
    ],
)
def test_words_that_give_a_topic_away(text: str, topic: str) -> None:
    assert TopicWords(TOPICS).found(text) == topic


def test_a_list_of_topics_looks_for_their_names() -> None:
    assert TopicWords(Topics.model_validate({"avoid": ["medical advice"]})).found("No medical advice.")
    assert not TopicWords(Topics()).any
