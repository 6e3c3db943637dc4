"""A card, by keys: number, expiry, security code, straight to the operator's tool. Kept in clear nowhere else."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.brain.flow.asides import aside
from services.brain.flow.outputs import CallTool, Output
from services.brain.flow.progress import Progress
from services.brain.flow.remarks import is_question
from services.brain.flow.state import Stage
from services.brain.flow.walk import next_step, step_failed
from services.brain.slots import digits_said

# ISO/IEC 7812: the numbers in use are of these lengths.
_NUMBER_DIGITS = (12, 19)
# A card lasts ten years at most; one that lasts longer was mistyped.
_LASTS_YEARS = 20
_START_AGAIN = re.compile(r"\b(?:wrong|mistake|mistyped|again|start over|not right|incorrect|typo)\b")
# As many digits as must not be told to a model.
_DIGITS_OF_A_CARD = 3
# What its tool is given besides `arguments`.
CARD = ("card_number", "expiry", "security_code")
_TOOL_TROUBLE = frozenset({"unreachable", "timeout", "server_error", "malformed", "too_big", "unknown_tool"})


def is_card_number(digits: str) -> bool:
    """Of a card's length, and its last digit (Luhn) is right."""
    shortest, longest = _NUMBER_DIGITS
    if not digits.isascii() or not digits.isdecimal() or not shortest <= len(digits) <= longest or set(digits) == {"0"}:
        return False
    doubled = (int(one) * (1 + place % 2) for place, one in enumerate(reversed(digits)))
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def read_expiry(digits: str, now: datetime) -> str | None:
    """ "0928" is "09/28"; None when it is no month, or one that is over, or too far off."""
    if not re.fullmatch(r"(?:0[1-9]|1[0-2])\d\d", digits, re.ASCII):
        return None
    month, year = int(digits[:2]), 2000 + int(digits[2:])
    if not (now.year, now.month) <= (year, month) <= (now.year + _LASTS_YEARS, 12):
        return None
    return f"{month:02d}/{year % 100:02d}"


def keyed(progress: Progress, keys: str) -> list[Output]:
    """Keys of the caller, to what is asked."""
    digits = re.sub(r"\D", "", keys, flags=re.ASCII)
    state, vault = progress.state, progress.vault
    if keys.startswith("*"):
        return again(progress)
    match state.stage:
        case Stage.CARD_NUMBER if is_card_number(digits):
            vault["card_number"] = digits
            state.stage = Stage.CARD_EXPIRY
        case Stage.CARD_EXPIRY if expiry := read_expiry(digits, progress.now):
            vault["expiry"] = expiry
            state.stage = Stage.CARD_CODE
        case Stage.CARD_CODE if len(digits) in (3, 4):
            vault["security_code"] = digits
            return call(progress)
        case _:
            return _missed(progress, progress.pay.again)
    progress.understood()
    return [progress.question()]


def said(progress: Progress, text: str) -> list[Output]:
    """Words of the caller, where keys are wanted."""
    if len(digits_said(text, progress.facts.language)) >= _DIGITS_OF_A_CARD:
        return _missed(progress, progress.pay.by_keys)
    if _START_AGAIN.search(text.lower()):
        return again(progress)
    if is_question(text):
        return aside(progress, text) or _missed(progress, progress.pay.by_keys)
    return _missed(progress, progress.pay.by_keys)


def again(progress: Progress) -> list[Output]:
    """The card from its number on."""
    if progress.missed("again") >= progress.pay.attempts:
        return _out_of_attempts(progress)
    _forget(progress)
    progress.state.stage = Stage.CARD_NUMBER
    return [progress.question()]


def call(progress: Progress) -> list[Output]:
    """To the tool; from the number on, where what was keyed is not here: another brain had it."""
    if any(name not in progress.vault for name in CARD):
        progress.state.stage = Stage.CARD_NUMBER
        return [progress.question()]
    given, shown = progress.arguments(progress.step)
    card = {name: progress.vault[name] for name in CARD}
    progress.state.stage = Stage.CARD_TOOL
    return [
        CallTool(progress.pay.tool, {**given, **card}, {**shown, **dict.fromkeys(CARD, progress.mask())}, secret=True)
    ]


def tool_answered(progress: Progress, result: Mapping[str, Any]) -> list[Output]:
    pay = progress.pay
    number = progress.vault.get("card_number", "")
    _forget(progress)
    if result.get("ok"):
        token = progress.value(pay.token, result=result.get("value"))
        if isinstance(token, str | int) and str(token) and not _tells(str(token), number):
            progress.put(pay.slot, {"token": str(token), "last_digits": number[-2:]})
            return next_step(progress)
        reason = f"{pay.tool}: no usable token in the answer"
        return [progress.say(pay.say_failed), *step_failed(progress, pay.failed, "payment", reason)]
    code = str(result.get("code") or "failed")
    if code in _TOOL_TROUBLE:
        return [progress.say(pay.say_failed), *step_failed(progress, pay.failed, "payment", f"{pay.tool}: {code}")]
    if progress.missed("refused") >= pay.attempts:
        return [progress.say(pay.say_refused), *_out_of_attempts(progress)]
    progress.state.stage = Stage.CARD_NUMBER
    return [progress.say(pay.say_refused), progress.question()]


def _tells(token: str, number: str) -> bool:
    """A token is to be kept; the number itself is none, nor most of it."""
    digits = re.sub(r"\D", "", token)
    return bool(number) and (number in digits or number[:10] in digits)


def _missed(progress: Progress, template: str) -> list[Output]:
    if progress.missed() >= progress.pay.attempts:
        return _out_of_attempts(progress)
    return [progress.say(template), progress.question()]


def _out_of_attempts(progress: Progress) -> list[Output]:
    _forget(progress)
    return step_failed(progress, progress.pay.failed, "payment", "no card that is accepted was keyed in")


def _forget(progress: Progress) -> None:
    for name in CARD:
        progress.vault.pop(name, None)
