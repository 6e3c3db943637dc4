"""We challenge who begins something (RFC 3261 §22), with retransmissions, and never inside a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.challenge import DigestChallenger
from services.gateway.sip.digest import Algorithm, Credentials
from services.gateway.sip.digestclient import DigestClient
from services.gateway.sip.message import Request, Response, parse
from services.gateway.sip.profile import Profile

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def profile(**options: int) -> Profile:
    challenger = DigestChallenger("tandem", {"ada": "secret"}, [Algorithm.MD5], b"key", 60, **options)  # type: ignore[arg-type]
    return Profile(name="trunk", challenger=challenger)


def signed(line: Line, method: str, password: str = "secret", body: bytes = b"", branch: str = "") -> bytes:
    """The request again, with the credentials for the last challenge."""
    challenge = line.messages[-1]
    assert isinstance(challenge, Response)
    plain = parse(line.request(method, body=body, branch=branch or None, to_tag=""))
    assert isinstance(plain, Request)
    client = DigestClient([Credentials("ada", password)], lambda: "cnonce")
    fields = client.answer(plain, challenge)
    assert fields is not None
    for name, value in fields:
        plain.headers.add(name, value)
    return plain.encode()


@pytest.mark.parametrize(("status", "header"), [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")])
def test_an_invite(line: Line, sdp_offer: bytes, status: int, header: str) -> None:
    line.profile = profile(status=status)
    line.invite()
    assert line.statuses == [status]
    assert (line.messages[0].headers.get(header) or "").startswith('Digest realm="tandem"')
    assert line.messages[0].to.tag
    assert line.events == []
    line.receive(line.invite_request)
    line.run(1.6)
    # Not by timer G: a forged source would have eleven sent to whom it names (RFC 3261 §26.3.2.4).
    assert line.statuses == [status] * 2
    assert len({sent.data for sent in line.sent}) == 1
    line.ack(branch="z9hG4bKinvite")
    line.run(5)
    assert line.statuses == [status] * 2
    line.to_tag = ""
    again = signed(line, "INVITE", body=sdp_offer, branch="z9hG4bKsecond")
    line.clear()
    line.receive(again)
    line.receive(again)
    assert line.statuses == [100, 100]
    assert line.kinds == ["IncomingCall"]
    line.answer()
    line.ack()
    line.clear()
    line.send("OPTIONS")
    line.send("BYE")
    assert line.statuses == [200, 200]
    line.over()


def test_a_wrong_password(line: Line, sdp_offer: bytes) -> None:
    line.profile = profile()
    line.invite()
    line.receive(signed(line, "INVITE", "wrong", sdp_offer))
    assert line.statuses == [401, 401]
    assert line.events == []
    line.over()


def test_a_nonce_that_is_too_old(line: Line) -> None:
    line.profile = profile()
    line.send("OPTIONS")
    again = signed(line, "OPTIONS")
    line.run(100)
    line.receive(again)
    assert line.statuses == [401, 401]
    assert "stale=true" in (line.messages[-1].headers.get("WWW-Authenticate") or "")


def test_options(line: Line) -> None:
    line.profile = profile()
    line.send("OPTIONS")
    again = signed(line, "OPTIONS")
    line.receive(again)
    line.receive(again)
    assert line.statuses == [401, 200, 200]
    line.over()


def test_what_belongs_to_no_call_is_challenged_too(line: Line) -> None:
    line.profile = profile()
    line.send("MESSAGE", body=b"hi", content_type="text/plain")
    assert line.statuses == [401]


def test_cancel_and_ack_are_not(line: Line) -> None:
    """They can't be sent again (§22.1)."""
    line.profile = profile()
    line.send("CANCEL")
    assert line.statuses == [481]
    assert line.send("ACK", to_tag="gone") == []


def test_a_cancel_of_a_call_that_was_let_in(line: Line, sdp_offer: bytes) -> None:
    line.profile = profile()
    line.invite()
    line.receive(signed(line, "INVITE", body=sdp_offer, branch="z9hG4bKsecond"))
    line.clear()
    line.send("CANCEL", cseq=2, branch="z9hG4bKsecond", to_tag="")
    assert line.statuses == [200, 487]
    line.over()
