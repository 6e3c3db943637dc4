"""Yes and no, and the ways people say them."""

import re
from typing import Literal

from services.brain.script.words import spoken_form

_NO = re.compile(
    r"\b(?:no|nope|nah|not|wrong|incorrect|don't|doesn't|isn't|never|negative|mistake|rather not|cancel that)\b"
)
_YES = re.compile(
    r"\b(?:yes|yeah|yep|yup|ya|yea|yas|correct|right|sure|okay|ok|k|perfect|exactly|absolutely|definitely|certainly"
    r"|of course|please do|go ahead|sounds good|that's it|that works|that's fine|do it|affirmative|fine|great|good"
    r"|lovely|wonderful|please|it is|i do|i would|uh huh|mm-hm|mhm|indeed|all right|alright|cool|true|spot on)\b"
)
# Before fillers are taken out, for these are made of them.
_HUMMED = re.compile(r"\b(?:m+-? ?h+m+|uh-? ?huh|a-?ha)\b", re.IGNORECASE)
_NOT_A_NO = re.compile(
    r"\b(?:no problem|no worries|why not|not bad|no,? (?:that's|it's|that is) (?:right|correct|fine))\b"
)


def read_yes_no(text: str) -> Literal["yes", "no", ""]:
    """What the answer to a yes-or-no question comes to; empty when it is neither."""
    text = _NOT_A_NO.sub("yes", spoken_form(_HUMMED.sub("yes", text)))
    said_no, said_yes = _NO.search(text), _YES.search(text)
    # "That's not right" has both; "no" outweighs, for an unwanted booking costs more than a question asked twice.
    if said_no:
        return "no"
    return "yes" if said_yes else ""
