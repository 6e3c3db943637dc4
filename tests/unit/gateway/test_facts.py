"""What is told of a call: by whom, for whom, and what is kept quiet."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict

from services.gateway.access import Trunks
from services.gateway.facts import inbound_facts
from services.gateway.settings import GatewaySettings
from services.gateway.sip.call import Call
from services.gateway.sip.dialog import Dialog
from services.gateway.sip.message import Request, parse
from services.gateway.sip.profile import ANYONE
from services.gateway.sip.transport import Flow, Transport
from tandem.v1.call_pb2 import CALL_DIRECTION_INBOUND, CallFacts
from tests.unit.gateway.office import THEIRS, trunk

GERMAN = {"numbers": {"country": "49"}}


def facts(*headers: str, sender: str = '"Ada" <sip:030555@c>', **more: object) -> CallFacts:
    lines = [
        "INVITE sip:030123@127.0.0.1 SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1",
        f"From: {sender};tag=theirs",
        "To: <sip:030123@127.0.0.1>",
        "Call-ID: c1",
        "CSeq: 1 INVITE",
        "Contact: <sip:a@127.0.0.1>",
        *headers,
        "Content-Length: 0",
        "",
        "",
    ]
    request = parse("\r\n".join(lines).encode("utf-8", "surrogateescape"))
    assert isinstance(request, Request)
    settings = GatewaySettings.model_validate({"trunks": [trunk(**more)]})
    one = Trunks(settings).named("carrier")
    assert one is not None
    call = Call(request, Dialog.of_server(request, "ours"), Flow(Transport.UDP, THEIRS), ANYONE)
    return inbound_facts(call, one, "front_desk", "127.0.0.1:1", 7)


def test_of_a_plain_call() -> None:
    told = facts()
    assert (told.caller_number, told.caller_name, told.called_number) == ("030555", "Ada", "030123")
    assert (told.sip_call_id, told.trunk, told.direction) == ("c1", "carrier", CALL_DIRECTION_INBOUND)
    assert (told.agent, told.control_address, told.answered_unix_us) == ("front_desk", "127.0.0.1:1", 7)
    assert facts().call_id != told.call_id


def test_numbers_are_told_in_e164_where_the_trunk_says_how() -> None:
    told = facts("Diversion: <sip:030888@c>;reason=no-answer", **GERMAN)
    assert told.caller_number == "+4930555"
    assert told.diversions[0].number == "+4930888"
    assert facts(sender="<sip:reception@c>", **GERMAN).caller_number == "reception"


@pytest.mark.parametrize(
    ("headers", "more", "number", "name"),
    [
        (['P-Asserted-Identity: "Bo" <sip:+4930777@c>'], {}, "+4930777", "Bo"),
        (["P-Asserted-Identity: <sip:+4930777@c>"], {"trust_identity": False}, "030555", "Ada"),
        (["P-Asserted-Identity: <sip:+4930777@c>", "Privacy: id"], {}, "", ""),
        (["Privacy: header;id"], {}, "", ""),
        (["Privacy: none"], {}, "030555", "Ada"),
        (["Remote-Party-ID: <sip:+4930777@c>;privacy=full"], {}, "", ""),
    ],
)
def test_who_calls(headers, more, number, name) -> None:
    told = facts(*headers, **more)
    assert (told.caller_number, told.caller_name) == (number, name)


def test_a_withheld_number_is_nowhere_in_the_facts() -> None:
    told = facts("P-Asserted-Identity: <sip:+4930777@c>", "Privacy: id")
    assert "30777" not in str(MessageToDict(told))
    assert "30555" not in str(MessageToDict(told))


def test_diversions_latest_first() -> None:
    told = facts("Diversion: <sip:2@c>;reason=user-busy, <sip:1@c>;reason=unconditional")
    assert [(one.number, one.reason) for one in told.diversions] == [("2", "user-busy"), ("1", "unconditional")]


def test_user_to_user() -> None:
    told = facts("User-to-User: 48690a;encoding=hex;purpose=isdn-uui")
    assert [(one.data, one.purpose) for one in told.user_to_user] == [(b"Hi\n", "isdn-uui")]
    assert not facts("User-to-User: zz;encoding=hex").user_to_user


def test_octets_that_are_no_utf8_do_not_break_the_facts() -> None:
    told = facts('Diversion: "\udcff" <sip:1\udcfe@c>', sender='"\udcff" <sip:1@c>')
    assert told.SerializeToString()
