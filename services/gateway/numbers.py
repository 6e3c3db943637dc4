"""Telephone numbers: a trunk's way of writing them to E.164 with a plus and back, and patterns over them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# RFC 3966 §3: visual separators say nothing.
_SEPARATORS = str.maketrans("", "", "-.() ")
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
# A number without any prefix that is at least this long is taken with its country code: shorter ones are extensions
# and service numbers.
_SHORTEST_PLAIN = 8
# What the network sends is bounded before an operator's regular expression sees it.
_LONGEST = 128
# (1+)+ takes time that doubles with each digit.
_NESTED = re.compile(r"(?<!\\)[*+}]\)+[*+{]")


@dataclass(frozen=True, slots=True)
class NumberPlan:
    """How a trunk writes numbers.

    `country` is its country code without plus, `national_prefix` what stands before a number of the same country
    ("0" in Germany, "1" in North America, "" where there is none), `international_prefix` before one of another
    ("00", "011"). `send_plus` False: the trunk writes E.164 without the plus, in both directions.
    """

    country: str
    national_prefix: str = "0"
    international_prefix: str = "00"
    send_plus: bool = True

    def e164(self, number: str) -> str | None:
        """`+` and at most 15 digits; None for what is no subscriber number: a name, an extension, 112."""
        digits = number.translate(_SEPARATORS)
        if not digits.removeprefix("+").isdecimal() or not digits.isascii():
            return None
        found = digits if digits.startswith("+") else self._international(digits)
        if found is not None and self.national_prefix == "0":
            # "+49 (0)30" is the way it is printed, and some dial it. Left there, it would also hide a premium number
            # from the patterns: +49 0900. No number of a country with this prefix begins with it.
            own = f"+{self.country}"
            found = own + found.removeprefix(own).lstrip("0") if found.startswith(f"{own}0") else found
        return found if found is not None and _E164.fullmatch(found) else None

    def _international(self, digits: str) -> str | None:
        if self.international_prefix and digits.startswith(self.international_prefix):
            return f"+{digits.removeprefix(self.international_prefix)}"
        if self.national_prefix and digits.startswith(self.national_prefix):
            return f"+{self.country}{digits.removeprefix(self.national_prefix)}"
        if len(digits) < _SHORTEST_PLAIN:
            return None
        if not self.send_plus:
            return f"+{digits}"
        # North America dials ten digits without a prefix too; its plan is closed, so that they cannot be anything else.
        if self.country == "1" and len(digits) == 10:
            return f"+1{digits}"
        if digits.startswith(self.country):
            return f"+{digits}"
        return None if self.national_prefix else f"+{self.country}{digits}"

    def dialled(self, number: str) -> str:
        """A number as the trunk wants it in a Request-URI: E.164 with or without plus; any other as it is."""
        e164 = self.e164(number)
        if e164 is None:
            return number
        return e164 if self.send_plus else e164[1:]


class NumberPattern:
    """A called number, `+4930*` (a star stands for anything), or `/a regular expression/` (searched: anchor it)."""

    __slots__ = ("_regex", "exact", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError when it can match nothing."""
        if not text:
            raise ValueError("expected a number, a pattern such as +4930*, or /a regular expression/")
        self.text = text
        self.exact = False
        if text.startswith("/"):
            if len(text) < 3 or not text.endswith("/"):
                raise ValueError("a regular expression stands between slashes: /^\\+4930[0-9]+$/")
            if _NESTED.search(text):
                raise ValueError(
                    "a repetition inside a repetition: a number made for it would keep the gateway busy for hours"
                )
            try:
                self._regex = re.compile(text[1:-1])
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"no regular expression: {error}") from None
        else:
            self.exact = "*" not in text
            self._regex = re.compile(r"\A" + ".*".join(re.escape(part) for part in text.split("*")) + r"\Z", re.DOTALL)

    @property
    def regular(self) -> bool:
        """Whether it is a regular expression."""
        return self.text.startswith("/")

    def matches(self, number: str) -> bool:
        if self.exact:
            return number == self.text
        return len(number) <= _LONGEST and self._regex.search(number) is not None

    def __repr__(self) -> str:
        return f"NumberPattern({self.text!r})"
