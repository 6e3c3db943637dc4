"""Numbers as trunks write them, to E.164 and back; patterns over numbers."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.gateway.numbers import NumberPattern, NumberPlan

GERMANY = NumberPlan("49")
GERMANY_PLAIN = NumberPlan("49", send_plus=False)
AMERICA = NumberPlan("1", national_prefix="1", international_prefix="011")
ITALY = NumberPlan("39", national_prefix="")


@pytest.mark.parametrize(
    ("plan", "number", "e164"),
    [
        (GERMANY, "+49301234567", "+49301234567"),
        (GERMANY, "0049301234567", "+49301234567"),
        (GERMANY, "0301234567", "+49301234567"),
        (GERMANY, "49301234567", "+49301234567"),
        (GERMANY, "+49 (30) 123-45.67", "+49301234567"),
        (GERMANY, "+49 (0)30 1234567", "+49301234567"),
        (GERMANY, "00490900123456", "+49900123456"),
        (GERMANY, "+4900900123456", "+49900123456"),
        (GERMANY, "+390612345678", "+390612345678"),
        (GERMANY, "00442079460000", "+442079460000"),
        (GERMANY, "442079460000", None),
        (GERMANY_PLAIN, "442079460000", "+442079460000"),
        (GERMANY_PLAIN, "0301234567", "+49301234567"),
        (GERMANY, "110", None),
        (GERMANY, "4930", None),
        (GERMANY, "front_desk", None),
        (GERMANY, "anonymous", None),
        (GERMANY, "", None),
        (GERMANY, "+", None),
        (GERMANY, "+0301234567", None),
        (GERMANY, "+4930123456789012", None),
        (GERMANY, "++49301234567", None),
        (GERMANY, "٠٣٠١٢٣٤٥٦٧", None),
        (AMERICA, "12125550100", "+12125550100"),
        (AMERICA, "2125550100", "+12125550100"),
        (AMERICA, "+12125550100", "+12125550100"),
        (AMERICA, "01149301234567", "+49301234567"),
        (AMERICA, "911", None),
        (ITALY, "0612345678", "+390612345678"),
        (ITALY, "+390612345678", "+390612345678"),
    ],
)
def test_e164(plan: NumberPlan, number: str, e164: str | None) -> None:
    assert plan.e164(number) == e164


@pytest.mark.parametrize(
    ("plan", "number", "dialled"),
    [
        (GERMANY, "0301234567", "+49301234567"),
        (GERMANY_PLAIN, "+49301234567", "49301234567"),
        (GERMANY_PLAIN, "110", "110"),
        (GERMANY, "reception", "reception"),
    ],
)
def test_dialled(plan: NumberPlan, number: str, dialled: str) -> None:
    assert plan.dialled(number) == dialled


@given(st.from_regex(r"\A\+[1-9][0-9]{9,14}\Z"), st.sampled_from([GERMANY, GERMANY_PLAIN, AMERICA, ITALY]))
def test_e164_stays_what_it_is_and_comes_back_from_the_wire(number: str, plan: NumberPlan) -> None:
    # "+49 0..." is no number of the plan: the zero is the prefix, and goes (see test_e164).
    assume(not number.startswith(f"+{plan.country}0") or plan.national_prefix != "0")
    assert plan.e164(number) == number
    if plan.send_plus:
        assert plan.e164(plan.dialled(number)) == number


@given(st.text())
def test_no_text_is_too_odd(number: str) -> None:
    e164 = GERMANY.e164(number)
    assert e164 is None or GERMANY.e164(e164) == e164


@pytest.mark.parametrize(
    ("pattern", "number", "matches"),
    [
        ("+4930123", "+4930123", True),
        ("+4930123", "+49301234", False),
        ("+4930*", "+4930", True),
        ("+4930*", "+4930123", True),
        ("+4930*", "004930123", False),
        ("*99", "+493099", True),
        ("*", "", True),
        ("front_desk", "Front_Desk", False),
        (r"/^\+49(30|40)[0-9]{3}$/", "+4940123", True),
        (r"/^\+49(30|40)[0-9]{3}$/", "+49401234", False),
        ("/desk/", "front_desk", True),
        (r"/^(\+)?49/", "+4930", True),
        ("a.c", "abc", False),
        ("*", "x" * 1000, False),
        ("/x/", "x" * 1000, False),
    ],
)
def test_patterns(pattern: str, number: str, matches: bool) -> None:
    assert NumberPattern(pattern).matches(number) is matches


@pytest.mark.parametrize("text", ["", "/", "//", "/a", "/(/", "/^(1+)+$/", "/((1*)){2,}/"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"expression|repetition"):
        NumberPattern(text)
