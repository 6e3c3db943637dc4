"""From the number that was called, and the trunk it came from, to what answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.access import Trunks
from services.gateway.numbers import NumberPlan
from services.gateway.routes import Routes, ToAgent, ToEcho, ToReject
from services.gateway.settings import GatewaySettings
from services.gateway.trunk_settings import FallbackSettings, RouteSettings

GERMANY = NumberPlan("49")


def routes(*called: str, numbers: NumberPlan | None = None) -> Routes:
    """Each to an agent that is named by its place."""
    return Routes([RouteSettings(called=one, agent=str(place)) for place, one in enumerate(called)], numbers=numbers)


@pytest.mark.parametrize(
    ("called", "number", "agent"),
    [
        (("+4930123", "+4930*"), "+4930123", "0"),
        (("+4930*", "+4930123"), "+4930123", "0"),
        (("+4930123", "+4930*"), "+4930124", "1"),
        (("030123*",), "0301234567", "0"),
        (("+49301234567",), "0301234567", "0"),
        (("+49301234567",), "49301234567", "0"),
        (("/^0/", "+49301234567"), "0301234567", "0"),
        (("+49301234567", "/^0/"), "0301234567", "0"),
        (("+49301234567",), "0401234567", None),
    ],
)
def test_order_is_the_rule_and_numbers_are_compared_in_both_ways(
    called: tuple[str, ...], number: str, agent: str | None
) -> None:
    assert routes(*called, numbers=GERMANY).find(number) == (ToAgent(agent) if agent else None)


def test_without_a_number_plan_numbers_are_compared_as_they_came() -> None:
    assert routes("+49301234567").find("0301234567") is None


def test_echo_is_there_unless_a_route_takes_it() -> None:
    assert routes("1").find("echo") == ToEcho()
    assert routes("e*").find("echo") == ToAgent("0")
    assert Routes([], FallbackSettings(reject=603)).find("echo") == ToEcho()


def test_what_answers() -> None:
    found = Routes(
        [
            RouteSettings(called="1", agent="a", ring_s=2, early_media=True),
            RouteSettings(called="2", echo=True, ring_s=1),
            RouteSettings(called="3", reject=486),
        ],
        FallbackSettings(reject=603, reason="Not here"),
    )
    assert [found.find(number) for number in "1234"] == [
        ToAgent("a", 2, True),
        ToEcho(1),
        ToReject(486),
        ToReject(603, "Not here"),
    ]


def test_a_trunks_own_routes_go_first_then_the_gateways_then_the_fallbacks() -> None:
    trunks = Trunks(
        GatewaySettings(
            routes=[{"called": "1", "agent": "all"}, {"called": "2", "agent": "all"}],
            fallback={"reject": 404},
            trunks=[
                {"name": "a", "routes": [{"called": "1", "agent": "own"}], "fallback": {"agent": "last"}},
                {"name": "b"},
            ],
        )
    )
    a, b = trunks
    assert [a.routes.find(number) for number in "123"] == [ToAgent("own"), ToAgent("all"), ToAgent("last")]
    assert [b.routes.find(number) for number in "123"] == [ToAgent("all"), ToAgent("all"), ToReject(404)]


@given(st.text(max_size=300))
def test_no_called_number_is_too_odd(called: str) -> None:
    assert routes("+4930*", "/x$/", numbers=GERMANY).find(called) in (None, ToEcho(), ToAgent("0"), ToAgent("1"))
