"""What counts as a response, and whose words become labels."""

import pytest

from services.gateway.sip_responses import COUNTED_METHODS, SipResponses


def message(first: str, cseq: str = "CSeq: 7 INVITE") -> bytes:
    return f"{first}\r\nCall-ID: a\r\n{cseq}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("data", "counted"),
    [
        (message("SIP/2.0 100 Trying"), ("INVITE", "1xx")),
        (message("SIP/2.0 200 OK", "CSeq: 1 BYE"), ("BYE", "2xx")),
        (message("SIP/2.0 302 Moved"), ("INVITE", "3xx")),
        (message("SIP/2.0 486 Busy"), ("INVITE", "4xx")),
        (message("SIP/2.0 503 No"), ("INVITE", "5xx")),
        (message("SIP/2.0 603 Decline"), ("INVITE", "6xx")),
        (message("SIP/2.0 200 OK", "cseq:1  OPTIONS"), ("OPTIONS", "2xx")),
        (message("SIP/2.0 200 OK", "CSeq : 1 REGISTER"), ("REGISTER", "2xx")),
        (message("SIP/2.0 200 OK", "CSeq: 1 X900"), ("other", "2xx")),
        (message("SIP/2.0 200 OK", "CSeq: 1"), ("other", "2xx")),
        (message("SIP/2.0 200 OK", "X: y"), ("other", "2xx")),
        (message("SIP/2.0 900 What"), None),
        (message("INVITE sip:a@b SIP/2.0"), None),
        (b"SIP/2.0 ", None),
        (b"", None),
        (b"\r\n\r\n", None),
    ],
)
def test_what_is_counted(data: bytes, counted: tuple[str, str] | None) -> None:
    responses = SipResponses()
    responses.add("carrier", False, data)
    expected = {} if counted is None else {("carrier", "inbound", *counted): 1}
    assert responses.counts == expected
    assert {method for _, _, method, _ in responses.counts} <= set(COUNTED_METHODS)


def test_ours_go_out() -> None:
    responses = SipResponses()
    for _ in range(2):
        responses.add("carrier", True, message("SIP/2.0 200 OK"))
    assert responses.counts == {("carrier", "outbound", "INVITE", "2xx"): 2}
