"""SIP requests and responses (RFC 3261 §7): parsing, building, serialising."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TypeVar

from services.gateway.sip.header import CSeq, HeaderError, Headers, Via
from services.gateway.sip.uri import NameAddr, SipUri, UriError

# IANA, "SIP Response Codes".
REASON_PHRASES = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    424: "Bad Location Information",
    425: "Bad Alert Message",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    555: "Push Notification Service Not Supported",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}
# IANA, "SIP Methods". The others are unknown here (501), whatever of these may be allowed (405).
METHODS = frozenset(
    {"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK"}
    | {"PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"}
)
MAX_FIELDS = 256
"""Header fields a message may have, and values one of them; a call through ten proxies has some sixty."""
_T = TypeVar("_T")
_METHOD = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE)
_VERSION = re.compile(r"SIP/[0-9]{1,5}\.[0-9]{1,5}", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,10}")
_NOT_IN_REQUEST_URI = re.compile(r'[\s<>"]')
_FOLD = re.compile(r"\n[ \t]+")
_ONLY_ONCE = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type")


class SipParseError(Exception):
    """A datagram that is no valid SIP message.

    `status` and `reason` say how to answer; `request` is what could be read of it, None for a response or for
    what does not even begin like a request, which can only be dropped.
    """

    def __init__(self, reason: str, status: int = 400, request: Request | None = None) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.request = request


class Message:
    """What requests and responses share. The typed views raise SipParseError, but never after `parse`."""

    def __init__(self, headers: Headers, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body

    @cached_property
    def vias(self) -> list[str]:
        return self._values("Via")

    @cached_property
    def via(self) -> Via:
        """The topmost Via."""
        if not self.vias:
            raise SipParseError("Missing Via")
        return _checked(lambda: Via.parse(self.vias[0]))

    @cached_property
    def from_(self) -> NameAddr:
        return _checked(lambda: NameAddr.parse(self._one("From")))

    @cached_property
    def to(self) -> NameAddr:
        return _checked(lambda: NameAddr.parse(self._one("To")))

    @cached_property
    def call_id(self) -> str:
        return self._one("Call-ID")

    @cached_property
    def cseq(self) -> CSeq:
        return _checked(lambda: CSeq.parse(self._one("CSeq")))

    @cached_property
    def contacts(self) -> list[NameAddr]:
        """Contact values; a lone "*" (REGISTER) counts as none."""
        return self._read_contacts()

    def _read_contacts(self) -> list[NameAddr]:
        values = [value for value in self._values("Contact") if value != "*"]
        return _checked(lambda: [NameAddr.parse(value) for value in values]) if values else []

    @cached_property
    def record_route(self) -> list[str]:
        """Record-Route values in the order of the message."""
        values = self._values("Record-Route")
        if values:
            _checked(lambda: [SipUri.parse(NameAddr.parse(value).uri) for value in values])
        return values

    def _one(self, name: str) -> str:
        value = self.headers.get(name)
        if not value:
            raise SipParseError(f"Missing {name}")
        return value

    def _values(self, name: str) -> list[str]:
        if name not in self.headers:
            return []
        values = _checked(lambda: self.headers.values(name))
        if len(values) > MAX_FIELDS:
            raise SipParseError(f"Too many {name} values", 513)
        return values

    def _check(self) -> None:
        repeated = self.headers.repeated(_ONLY_ONCE)
        if repeated is not None:
            raise SipParseError(f"Multiple {repeated}")
        if self.via.protocol != "SIP/2.0" or not all(via[:3].upper() == "SIP" for via in self.vias):
            raise SipParseError("Bad Via")
        _ = self.from_, self.to, self.call_id, self.cseq, self.contacts, self.record_route

    def _encode(self, start_line: str) -> bytes:
        lines = [start_line]
        lines += [f"{name}: {value}" for name, value in self.headers.without("Content-Length")]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


class Request(Message):
    """`uri` is the Request-URI as it came."""

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri = uri
        self.version = "SIP/2.0"

    @cached_property
    def max_forwards(self) -> int:
        """70 when absent: RFC 2543 did not know it."""
        text = self.headers.get("Max-Forwards")
        if text is None:
            return 70
        if not _DIGITS.fullmatch(text) or int(text) > 255:
            raise SipParseError("Bad Max-Forwards")
        return int(text)

    def mark_received(self, host: str, port: int) -> None:
        """Notes in the topmost Via where the request came from, for routing the responses."""
        self.via = self.via.received_from(host, port)
        self.vias = [str(self.via), *self.vias[1:]]
        self.headers.set_first("Via", self.vias)

    def encode(self) -> bytes:
        return self._encode(f"{self.method} {self.uri} SIP/2.0")

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri} {self.headers.get('CSeq')} {self.headers.get('Call-ID')}>"


class Response(Message):
    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = reason

    @cached_property
    def contacts(self) -> list[NameAddr]:
        """Of a refusal none where they cannot be read: a redirect to what is no URI still ends the INVITE."""
        try:
            return self._read_contacts()
        except SipParseError:
            if self.status < 300:
                raise
            return []

    @classmethod
    def to_request(
        cls,
        request: Request,
        status: int,
        to_tag: str | None = None,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """RFC 3261 §8.2.6: Via, From, To, Call-ID and CSeq as in the request; `to_tag` added to a To without one."""
        copied = [("Via", via) for via in request.vias]
        for name in ("From", "To", "Call-ID", "CSeq"):
            # A refused request may lack one (RFC 4475 §3.3.1).
            value = request.headers.get(name)
            if value is not None:
                tagged = name == "To" and to_tag is not None and request.to.tag is None
                copied.append((name, f"{value};tag={to_tag}" if tagged else value))
        phrase = REASON_PHRASES.get(status, "") if reason is None else reason
        return cls(status, phrase, Headers([*copied, *headers]), body)

    @classmethod
    def trying(cls, request: Request) -> Response:
        """§8.2.6.1: 100, with the Timestamp of the request; the one response without a To tag of ours."""
        timestamp = request.headers.get("Timestamp")
        return cls.to_request(request, 100, headers=[] if timestamp is None else [("Timestamp", timestamp)])

    def encode(self) -> bytes:
        return self._encode(f"SIP/2.0 {self.status} {self.reason}")

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason} {self.headers.get('CSeq')} {self.headers.get('Call-ID')}>"


def parse(data: bytes) -> Request | Response:
    """One datagram, one message (RFC 3261 §18.3); octets beyond Content-Length are ignored.

    Liberal where RFC 4475 §3.1.1 wants it (folding, odd spacing, compact forms, bare LF), and strict about what
    the rest of the stack relies on. Raises SipParseError and nothing else.
    """
    start_line, lines, body, complete = _split(data)
    status = _STATUS_LINE.fullmatch(start_line)
    message: Request | Response
    if status is not None:
        message = Response(int(status[1]), status[2] or "", Headers())
    else:
        message = _parse_request_line(start_line)
    good = message.headers.read(lines[:MAX_FIELDS])
    try:
        # First of all, for what else may be wrong is the other version's affair (RFC 4475 §3.1.2.16).
        if isinstance(message, Request) and message.version != "SIP/2.0":
            raise SipParseError("Version Not Supported", 505)
        if len(lines) > MAX_FIELDS:
            raise SipParseError("Too many header fields", 513)
        if not good:
            raise SipParseError("Bad header field")
        if not complete:
            raise SipParseError("Truncated message")
        message.body = _cut_body(message.headers, body)
        message._check()
        if isinstance(message, Request):
            _check_request(message)
    except SipParseError as error:
        error.request = message if isinstance(message, Request) else None
        raise
    return message


def _split(data: bytes) -> tuple[str, list[str], bytes, bool]:
    """Start line, unfolded header lines, what follows the blank line, and whether there was one."""
    data = data.lstrip(b"\r\n")  # §7.5
    end = data.find(b"\n\r\n")
    length = 3
    bare = data.find(b"\n\n", 0, end + 1 if end >= 0 else len(data))
    if bare >= 0:
        end, length = bare, 2
    head = data if end < 0 else data[:end]
    text = head.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\r\n")
    if "\r" in text:
        text = text.replace("\r", " ")
    # §7.3.1: a line that begins with white space continues the one before it.
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    start_line, *lines = text.split("\n")
    return start_line.strip("\t "), lines, b"" if end < 0 else data[end + length :], end >= 0


def _parse_request_line(line: str) -> Request:
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not _METHOD.fullmatch(method) or not _VERSION.fullmatch(version):
        raise SipParseError("Bad Request-Line")
    request = Request(method, uri, Headers())
    request.version = version.upper()
    return request


def _check_request(request: Request) -> None:
    if not request.uri or _NOT_IN_REQUEST_URI.search(request.uri):
        raise SipParseError("Bad Request-URI")
    if "?" in request.uri.rpartition("@")[2] and request.uri[:4].lower() in ("sip:", "sips"):
        # §19.1.1: no headers there, least of all such as would be taken for the request's own.
        raise SipParseError("Headers in the Request-URI")
    if request.cseq.method != request.method:
        # RFC 4475 §3.1.2.18: of a method that is not known here, nothing else can be said.
        raise SipParseError("CSeq Method Mismatch", 400 if request.method in METHODS else 501)
    _ = request.max_forwards
    if request.method == "INVITE":
        if not request.contacts and request.to.tag is None:
            # RFC 2543 §6.13: without Contact, what follows goes to the From (RFC 4475 §3.4.1).
            request.contacts = [NameAddr(request.from_.uri)]
        if len(request.contacts) != 1:
            raise SipParseError("INVITE needs one Contact")


def _cut_body(headers: Headers, body: bytes) -> bytes:
    lengths = set(headers.all("Content-Length"))
    if not lengths:
        return body
    text = lengths.pop()
    if lengths or not _DIGITS.fullmatch(text):
        raise SipParseError("Bad Content-Length")
    if int(text) > len(body):
        raise SipParseError("Body shorter than Content-Length")
    return body[: int(text)]


def _checked(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except (HeaderError, UriError) as error:
        raise SipParseError(_in_one_line(str(error))) from error


def _in_one_line(text: str) -> str:
    """Fit to stand in a status line, whatever the peer put into it."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:120]
