"""SIP URIs (RFC 3261 §19.1) and name-addr (§20.10, §25.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

# RFC 3261 §25.1: unreserved and user-unreserved go unescaped in the user part.
_USER_SAFE = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE = "-_.!~*'()&=+$,"
_PARAM_SAFE = "-_.!~*'()[]/:&+$"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\.?|[A-Za-z0-9]")
_IPV6_REFERENCE = re.compile(r"\[[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?\]")
# A whole quoted string, a whole bracket, the separator, or the beginning of what never ends.
_SPLIT = {separator: re.compile(rf'"(?:[^"\\]|\\.)*"|<[^>]*>|["<]|{separator}', re.DOTALL) for separator in (",", ";")}
_UNTERMINATED = {'"': "quoted string", "<": "angle bracket"}
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")


class UriError(ValueError):
    """The text is no URI, or no SIP URI."""


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Splits at `separator` where it stands outside "quoted strings" and <angle brackets>; strips the parts.

    Raises UriError on an unterminated quote or bracket (RFC 4475 §3.1.2.6).
    """
    if '"' not in text and "<" not in text:
        return [part.strip() for part in text.split(separator)]
    parts: list[str] = []
    start = 0
    for match in _SPLIT[separator].finditer(text):
        if match[0] == separator:
            parts.append(text[start : match.start()].strip())
            start = match.end()
        elif len(match[0]) == 1:
            raise UriError(f"unterminated {_UNTERMINATED[match[0]]} in {text!r}")
    parts.append(text[start:].strip())
    return parts


def parse_parameters(parts: list[str]) -> dict[str, str | None]:
    """`;name=value` parameters, already split; names are lowered, quotes taken off values."""
    parameters: dict[str, str | None] = {}
    for part in parts:
        if not part:
            continue
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not _TOKEN.fullmatch(name):
            raise UriError(f"bad parameter {part!r}")
        value = value.strip()
        if value.startswith('"') and value.endswith('"') and len(value) >= 2:
            value = _unquote_string(value)
        parameters.setdefault(name, value if equals else None)
    return parameters


def parse_host_port(text: str) -> tuple[str, int | None]:
    """`host[:port]`; the host without IPv6 brackets, lowered."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        host += bracket
        if not _IPV6_REFERENCE.fullmatch(host):
            raise UriError(f"bad IPv6 reference {text!r}")
        host = host[1:-1]
        if rest and not rest.startswith(":"):
            raise UriError(f"bad port in {text!r}")
        port_text = rest[1:] if rest else None
    else:
        host, colon, rest = text.partition(":")
        host = host.strip()
        if not _HOSTNAME.fullmatch(host):
            raise UriError(f"bad host {text!r}")
        port_text = rest if colon else None
    if port_text is None:
        return host.lower(), None
    port_text = port_text.strip()
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and 0 < int(port_text) < 65536):
        raise UriError(f"bad port in {text!r}")
    return host.lower(), int(port_text)


def format_host_port(host: str, port: int | None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def scheme_of(uri: str) -> str:
    """Scheme, lowered; raises UriError when there is none."""
    match = _SCHEME.match(uri)
    if match is None:
        raise UriError(f"no URI: {uri!r}")
    return match.group()[:-1].lower()


def user_of(uri: str) -> str:
    """Who a sip:, sips: or tel: URI names: the unescaped user part or telephone number, else empty."""
    try:
        if scheme_of(uri) == "tel":
            return uri[4:].partition(";")[0]
        # "+4930;phone-context=x@host" (RFC 3261 §19.1.6) names the subscriber +4930.
        return SipUri.parse(uri).user.partition(";")[0]
    except UriError:
        return ""


def readable(text: str) -> str:
    """Octets that were no UTF-8 become U+FFFD, so that the text can go into any other message."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class SipUri:
    """`sip:user:password@host:port;parameters?headers`. The host is lowered, the user unescaped."""

    host: str
    port: int | None = None
    user: str = ""
    password: str | None = None
    scheme: str = "sip"
    parameters: dict[str, str | None] = field(default_factory=dict)
    headers: str = ""
    """Raw text after "?", kept for Refer-To (Replaces)."""

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Raises UriError."""
        scheme = scheme_of(text)
        if scheme not in ("sip", "sips"):
            raise UriError(f"not a SIP URI: {text!r}")
        rest = text[len(scheme) + 1 :]
        # The user part may hold ";" and "?" (RFC 4475 §3.1.1.13), so it is cut off first.
        userinfo, at, hostpart = rest.rpartition("@")
        user, colon, password = userinfo.partition(":")
        if at and not user:
            raise UriError(f"empty user in {text!r}")
        hostpart, _, headers = hostpart.partition("?")
        host_port, *parameter_texts = hostpart.split(";")
        host, port = parse_host_port(host_port)
        return cls(
            host=host,
            port=port,
            user=_unescape(user),
            password=_unescape(password) if colon else None,
            scheme=scheme,
            parameters={
                name: None if value is None else _unescape(value)
                for name, value in parse_parameters(parameter_texts).items()
            },
            headers=headers,
        )

    @property
    def loose(self) -> bool:
        """Whether this Route entry is a loose router (`lr`, RFC 3261 §16.12)."""
        return "lr" in self.parameters

    def __str__(self) -> str:
        user = quote(self.user, safe=_USER_SAFE, errors="surrogateescape")
        if self.password is not None:
            user += ":" + quote(self.password, safe=_PASSWORD_SAFE, errors="surrogateescape")
        parameters = "".join(
            f";{name}" if value is None else f";{name}={quote(value, safe=_PARAM_SAFE, errors='surrogateescape')}"
            for name, value in self.parameters.items()
        )
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{'@' if user else ''}{format_host_port(self.host, self.port)}{parameters}{headers}"


@dataclass(frozen=True, slots=True)
class NameAddr:
    """`"Display name" <uri>;parameters`, as in From, To, Contact, Route, Refer-To.

    `uri` is kept as it came, for it may be of any scheme, and a remote target must be echoed unchanged.
    """

    uri: str
    display_name: str = ""
    parameters: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Raises UriError. Without brackets the parameters belong to the header (RFC 3261 §20)."""
        first, *parameter_texts = split_outside_quotes(text, ";")
        display_name = ""
        if first.endswith(">"):
            name, bracket, uri = first[:-1].rpartition("<")
            if not bracket:
                raise UriError(f"stray '>' in {text!r}")
            name = name.strip()
            display_name = _unquote_string(name) if name.startswith('"') else " ".join(name.split())
            uri = uri.strip()
        else:
            uri = first
        if re.search(r'[\s<>"]', uri):
            raise UriError(f"bad URI in {text!r}")
        scheme_of(uri)
        return cls(uri, display_name, parse_parameters(parameter_texts))

    @property
    def tag(self) -> str | None:
        return self.parameters.get("tag")

    @property
    def user(self) -> str:
        return user_of(self.uri)

    def __str__(self) -> str:
        display = ""
        if self.display_name:
            display = '"' + self.display_name.replace("\\", "\\\\").replace('"', '\\"') + '" '
        parameters = "".join(
            f";{name}" if value is None else f";{name}={_quote_unless_token(value)}"
            for name, value in self.parameters.items()
        )
        return f"{display}<{self.uri}>{parameters}"


def _unescape(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _unquote_string(text: str) -> str:
    """The content of a quoted-string, or the text itself when it is none."""
    if not (len(text) >= 2 and text.startswith('"') and text.endswith('"')):
        raise UriError(f"bad quoted string {text!r}")
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _quote_unless_token(value: str) -> str:
    # Host values (";received=2001:db8::1", RFC 5118 §4.5) stand unquoted although they are no tokens.
    if _TOKEN.fullmatch(value) or re.fullmatch(r"[\[\]0-9A-Za-z:.]+", value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
