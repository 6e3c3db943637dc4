"""SIP URIs (RFC 3261 §19.1) and name-addr (§20.10, §25.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote

# RFC 3261 §25.1: unreserved and user-unreserved go unescaped in the user part.
_USER_SAFE = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE = "-_.!~*'()&=+$,"
_PARAM_SAFE = "-_.!~*'()[]/:&+$"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\.?|[A-Za-z0-9]")
_IPV6_REFERENCE = re.compile(r"\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._~-]+)?\]")
# A whole quoted string, a whole bracket, the separator, or the beginning of what never ends.
_SPLIT = {separator: re.compile(rf'"(?:[^"\\]|\\.)*"|<[^>]*>|["<]|{separator}', re.DOTALL) for separator in (",", ";")}
_UNTERMINATED = {'"': "quoted string", "<": "angle bracket"}
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)")
_NO_URI = re.compile(r'[\s<>"]')


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


def parse_parameters(parts: list[str], quoted: bool = False) -> dict[str, str | None]:
    """`;name=value` parameters, already split; names are lowered, quotes taken off values unless they stay `quoted`."""
    parameters: dict[str, str | None] = {}
    for part in parts:
        if not part:
            continue
        raw_name, equals, value = part.partition("=")
        name = _parameter_name(raw_name)
        if name is None:
            raise UriError(f"bad parameter {part!r}")
        if not equals:
            parameters.setdefault(name, None)
            continue
        value = value.strip()
        if not quoted and value.startswith('"') and value.endswith('"') and len(value) >= 2:
            value = _unquote_string(value)
        parameters.setdefault(name, value)
    return parameters


@lru_cache(maxsize=512)
def _parameter_name(text: str) -> str | None:
    name = text.strip().lower()
    return name if _TOKEN.fullmatch(name) else None


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


def without_headers(uri: str) -> str:
    """A Contact or Refer-To as it may stand in a Request-URI: a SIP URI loses its headers there (RFC 3261 §19.1.1)."""
    if uri[:4].lower() not in ("sip:", "sips"):
        return uri
    userinfo, at, hostpart = uri.rpartition("@")
    return userinfo + at + hostpart.partition("?")[0]


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
        """Raises UriError. Without brackets the parameters belong to the header, and there is no "?" (RFC 3261 §20)."""
        text = text.strip()
        display_name = ""
        quoted = _QUOTED.match(text) if text.startswith('"') else None
        if quoted is not None:
            display_name = _unquote_string(quoted[0])
            name, bracket, rest = text[quoted.end() :].partition("<")
            if name.strip() or not bracket:
                raise UriError(f"no <URI> after the display name in {text!r}")
        else:
            name, bracket, rest = text.partition("<")
        if bracket and quoted is None:
            display_name = " ".join(name.split())
            # `sip:a@b;x="<"` has its bracket in a parameter; an unquoted comma in a name is common and harmless.
            if '"' in name or ">" in name or ";" in name:
                if '"' not in name.partition(";")[2]:
                    raise UriError(f"bad display name in {text!r}")
                bracket, display_name = "", ""
        if bracket:
            uri, closed, tail = rest.partition(">")
            uri, tail = uri.strip(), tail.strip()
            if not closed or (tail and not tail.startswith(";")):
                raise UriError(f"{'stray text after' if closed else 'unterminated'} angle bracket in {text!r}")
            parameter_texts = split_outside_quotes(tail[1:], ";") if tail else []
        else:
            uri, *parameter_texts = split_outside_quotes(text, ";")
            if "?" in uri:
                raise UriError(f"URI with headers, but not in angle brackets: {text!r}")
        if _NO_URI.search(uri):
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
    text = text[1:-1]
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _quote_unless_token(value: str) -> str:
    # Host values (";received=2001:db8::1", RFC 5118 §4.5) stand unquoted although they are no tokens.
    if _TOKEN.fullmatch(value) or re.fullmatch(r"[\[\]0-9A-Za-z:.]+", value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
