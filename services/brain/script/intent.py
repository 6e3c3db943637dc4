"""What a caller wants, matched against the example phrases of the script.

Three measures see different things. TF-IDF over character n-grams lives with half-heard words ("a point meant" shares
most of its trigrams with "appointment"); rapidfuzz's token-set ratio finds an example inside a longer sentence: their
mean is the score, which says whether anything was meant at all. Which intent it was, a logistic regression over the
same n-grams knows better, for it has learned that "cancel" tells and "appointment" does not: on the tuned half of
evals/understanding.yaml the score alone chose 48 of 52 right, and with it 51.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz, process
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from services.brain.script.phone import without_phone
from services.brain.script.when import MONTHS, WEEKDAYS, plain_when

_DAY = rf"(?:{'|'.join((*WEEKDAYS, 'tomorrow', 'today', 'tonight'))})"
_MONTH = rf"(?:{'|'.join(MONTHS)})"
# Which day and which time is no part of the intent; that one was named is.
_MASKS = (
    (rf"\b(?:the )?\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}\b", "someday"),
    (rf"\b{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?\b", "someday"),
    (rf"\b(?:next |this |coming )?{_DAY}(?: (?:morning|afternoon|evening))?(?: next week)?", "someday"),
    (r"\bthe \d{1,2}(?:st|nd|rd|th)\b", "someday"),
    (r"\b(?:half|quarter|\d+) (?:past|to) \d{1,2}\b", "sometime"),
    (r"\b\d{1,2}(?:[: ]\d\d)? ?(?:am|pm|o'clock)?\b(?: in the (?:morning|afternoon|evening))?", "sometime"),
)
_OPENERS = re.compile(
    r"^(?:(?:hi|hello|hey|yes|yeah|yep|no|okay|ok|well|so|oh|and|but|please|sorry|actually|good (?:morning|afternoon"
    r"|evening)|there|um|uh|right|sure|excuse me)\b[,.! ]*)+"
)
# A clause of nothing else carries no intent: values, yes and no belong to whatever was asked.
_EMPTY_WORDS = """
    someday sometime at on for in the and please is my a yes no yeah yep nope okay ok sure well so first second third
    last one right correct that's choice st nd rd th"""
_EMPTY = frozenset(_EMPTY_WORDS.split())


@dataclass(frozen=True)
class Match:
    """The intent that fits best, and its score: 0 to 1, from "nothing of the kind" to "an example, word for word"."""

    intent: str
    score: float


NO_MATCH = Match("", 0.0)
# Chosen on evals/understanding.py: below it most matches are chance.
ACCEPT = 0.50
# How much the classifier's probability weighs when intents are ranked; the score itself is left as it is.
CLASSIFIER_WEIGHT = 0.3


class IntentMatcher:
    """Learns from examples once; `match` then costs about a millisecond."""

    def __init__(
        self,
        examples: Mapping[str, Sequence[str]],
        misheard: Mapping[str, Sequence[str]] = {},
        courtesies: Collection[str] = (),
    ) -> None:
        """`misheard` maps a word to what recognition makes of it; `courtesies` are the intents that give way to any
        other in the same utterance: "Hello, I'd like ...". Raises ValueError without a single example.
        """
        self._courtesies = frozenset(courtesies)
        self._mends = [
            (re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(heard, key=len, reverse=True)))})\b"), meant)
            for meant, heard in misheard.items()
        ]
        pairs = [(self._masked(text), intent) for intent, texts in examples.items() for text in texts]
        if not pairs:
            raise ValueError("no example phrases")
        self._texts = [text for text, _ in pairs]
        self._intents = [intent for _, intent in pairs]
        # 2 to 4 letters within words: 5 adds cost and nothing else; word boundaries keep "book" out of "notebook".
        self._vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        self._matrix = self._vectorizer.fit_transform(self._texts)
        self._classes = sorted(set(self._intents))
        if len(self._classes) > 2:
            # Little regularisation (C): a script has a dozen examples an intent, and all of them are true.
            classifier = LogisticRegression(C=30, max_iter=500, class_weight="balanced")
            classifier.fit(self._matrix, self._intents)
            # By hand below: predict_proba checks its input for 3 ms, the product takes 0.1.
            self._weights, self._bias = classifier.coef_.T, classifier.intercept_

    def match(self, text: str) -> Match:
        """The best intent of the whole utterance or of one of its clauses."""
        clauses = self._clauses(text)
        whole = max((len(clause) for clause in clauses), default=0)
        ranked = [self._best(clause, len(clause) / whole) for clause in clauses if clause]
        wishes = [one for one in ranked if one[1].score >= ACCEPT and one[1].intent not in self._courtesies]
        return max(wishes or ranked, key=lambda best: best[0], default=(0.0, NO_MATCH))[1]

    def _clauses(self, text: str) -> list[str]:
        parts = [text, *re.split(r"[.?!;,]\s+|\band\b", text)]
        clauses = dict.fromkeys(self._masked(part) for part in parts)
        return [clause for clause in clauses if not set(clause.split(" ")) <= _EMPTY]

    def _masked(self, text: str) -> str:
        text = masked(text)
        for pattern, meant in self._mends:
            text = pattern.sub(meant, text)
        return text

    def _best(self, text: str, share: float) -> tuple[float, Match]:
        """The best intent of one clause, after its rank. `share` is how much of the utterance it is, up to 1."""
        vector = self._vectorizer.transform([text])
        similarity = (self._matrix @ vector.T).toarray().ravel()
        # The ratio is 100 when one text is within the other: "please" is in "a person please". It counts by how much
        # of the longer the shorter covers, two thirds being enough.
        length = len(text)
        cover = np.array([min(len(one), length) / max(len(one), length) for one in self._texts])
        fuzzy = (
            process.cdist([text], self._texts, scorer=fuzz.token_set_ratio)[0] / 100.0 * np.minimum(1.0, cover * 1.5)
        )
        scores: dict[str, float] = {}
        for intent, score in zip(self._intents, (0.6 * similarity + 0.4 * fuzzy).tolist(), strict=True):
            scores[intent] = max(score, scores.get(intent, 0.0))
        ranks = dict(scores)
        if len(self._classes) > 2:
            odds = np.exp((vector @ self._weights).ravel() + self._bias)
            for intent, chance in zip(self._classes, (odds / odds.sum()).tolist(), strict=True):
                ranks[intent] += CLASSIFIER_WEIGHT * chance
        best = max(ranks, key=lambda intent: ranks[intent])
        # Two words out of ten say less than two words alone: "well, you know, the thing with the thing".
        weight = 0.8 + 0.2 * share
        return ranks[best] * weight, Match(best, scores[best] * weight)


def masked(text: str) -> str:
    """`text` with its days, times and numbers made alike, and without the words people begin with."""
    text = plain_when(without_phone(text))
    for pattern, mask in _MASKS:
        text = re.sub(pattern, mask, text)
    text = " ".join(re.findall(r"[a-z']+", text))
    without = _OPENERS.sub("", text)
    return without or text
