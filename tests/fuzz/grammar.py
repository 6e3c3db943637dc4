"""A Hypothesis strategy for messages that follow the grammar of RFC 3261 §25, or nearly so."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

_ALPHANUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
TOKENS = st.text(_ALPHANUM + "-.!%*_+`'~", min_size=1, max_size=12)
LWS = st.sampled_from(["", " ", "  ", "\t", "\r\n ", " \r\n\t"])
METHODS = st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE", "PRACK", "INFO"]) | TOKENS
QUOTED = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
HOSTS = st.one_of(
    st.sampled_from(["example.com", "a.b-c.example.", "x", "gw_1.example"]),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
USERS = st.one_of(st.just(""), st.text(_ALPHANUM + "-_.!~*'()&=+$,;?/", min_size=1, max_size=12).map(lambda u: u + "@"))
PARAMETERS = st.lists(
    st.tuples(st.sampled_from(["x-a", "x-b", "lr", "q", "ttl"]) | TOKENS, st.none() | TOKENS | HOSTS | QUOTED),
    max_size=4,
)
URI_PARAMETERS = st.lists(
    st.tuples(TOKENS, st.none() | st.text(_ALPHANUM + "-_.!~*'()[]/:&+$", min_size=1, max_size=8)), max_size=3
)


def _joined(parameters: list[tuple[str, str | None]], separator: str = ";") -> str:
    return "".join(separator + name + ("" if value is None else f"={value}") for name, value in parameters)


@st.composite
def uris(draw: st.DrawFn) -> str:
    scheme = draw(st.sampled_from(["sip:", "sips:", "SIP:"]))
    return f"{scheme}{draw(USERS)}{draw(HOSTS)}{draw(PORTS)}{_joined(draw(URI_PARAMETERS))}"


ANY_URIS = st.one_of(uris(), st.sampled_from(["tel:+49-30;ext=1", "isbn:2983792873", "http://example.com/?x=y"]))


@st.composite
def name_addrs(draw: st.DrawFn, tag: bool = False) -> str:
    display = draw(st.one_of(st.just(""), QUOTED, st.lists(TOKENS, min_size=1, max_size=3).map(" ".join)))
    parameters: list[tuple[str, str | None]] = [("tag", draw(TOKENS))] if tag else []
    parameters += [entry for entry in draw(PARAMETERS) if entry[0].lower() != "tag"]
    return f"{display}{draw(LWS)}<{draw(ANY_URIS)}>{_joined(parameters, draw(LWS) + ';' + draw(LWS))}"


@st.composite
def vias(draw: st.DrawFn) -> str:
    slash = draw(st.sampled_from(["/", " / ", "/\r\n "]))
    transport = draw(st.sampled_from(["UDP", "TCP", "TLS", "SCTP", "x-odd"]))
    branch = [("branch", "z9hG4bK" + draw(TOKENS))] if draw(st.booleans()) else []
    rport: list[tuple[str, str | None]] = [("rport", None)] if draw(st.booleans()) else []
    others = [entry for entry in draw(PARAMETERS) if entry[0].lower() not in ("branch", "rport", "received")]
    return f"SIP{slash}2.0{slash}{transport} {draw(HOSTS)}{draw(PORTS)}{_joined([*branch, *rport, *others])}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A message, and what must be read out of it."""

    data: bytes
    method: str
    uri: str
    from_tag: str
    call_id: str
    cseq: int
    vias: int
    body: bytes


@st.composite
def messages(draw: st.DrawFn) -> Drawn:
    """A request without a To tag, with one Contact; its headers folded, compact, cased and ordered at will."""
    method, uri = draw(METHODS), draw(ANY_URIS)
    body = draw(st.binary(max_size=60))
    from_tag, call_id, cseq = draw(TOKENS), draw(TOKENS), draw(st.integers(0, 2**31 - 1))
    via_values = draw(st.lists(vias(), min_size=1, max_size=4))
    comma = draw(LWS) + "," + draw(LWS)
    fields = [
        (("From", "f"), f"<{draw(ANY_URIS)}>;tag={from_tag}{_joined(_no_tag(draw(PARAMETERS)))}"),
        (("To", "t"), draw(name_addrs().filter(lambda text: ";tag" not in text.lower()))),
        (("Call-ID", "i"), call_id),
        (("CSeq",), f"{cseq}{draw(st.sampled_from([' ', '   ', ' ' + chr(13) + chr(10) + ' ']))}{method}"),
        (("Via", "v"), comma.join(via_values)),
        (("Contact", "m"), draw(name_addrs(tag=False))),
        (("Max-Forwards",), str(draw(st.integers(0, 255)))),
        (("Subject", "s"), draw(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20))),
    ]
    if draw(st.booleans()):
        fields.append((("Supported", "k"), draw(st.lists(TOKENS, max_size=4).map(", ".join))))
    if draw(st.booleans()):
        fields.append(
            (("Record-Route",), comma.join(f"<{uri}>" for uri in draw(st.lists(uris(), min_size=1, max_size=3))))
        )
    length_known = draw(st.booleans())
    if length_known:
        fields.append((("Content-Length", "l"), str(len(body))))
    lines = [f"{method} {uri} SIP/2.0"]
    for names, value in draw(st.permutations(fields)):
        name = draw(st.sampled_from(names).flatmap(lambda text: st.sampled_from([text, text.lower(), text.upper()])))
        colon = draw(st.sampled_from([":", ": ", " : ", ":\r\n "]))
        lines.append(f"{name}{colon}{value}")
    data = "\r\n".join([*lines, "", ""]).encode() + body
    trailing = draw(st.binary(max_size=20)) if length_known else b""
    return Drawn(data + trailing, method, uri, from_tag, call_id, cseq, len(via_values), body)


def _no_tag(parameters: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    return [entry for entry in parameters if entry[0].lower() != "tag"]
