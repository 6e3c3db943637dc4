"""Captured SIP messages as far as they can be read, for drawing and for programs. Pure; nothing in a message makes it
fail: a log is read most eagerly when a peer sends what it should not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.sip.header import Headers

_START_LINE = re.compile(
    r"SIP/2\.0 (?P<status>[1-6][0-9]{2}) ?(?P<reason>.*)|(?P<method>\S+) (?P<uri>.*) SIP/2\.0", re.I
)
_RTPMAP = re.compile(r"a=rtpmap:([0-9]{1,3}) ([^\s/]+)/([0-9]+)", re.ASCII)
_MEDIA = re.compile(r"m=(\S+) ([0-9]+)\S* (\S+) (.*)", re.ASCII)
_STATIC = {"0": "PCMU", "3": "GSM", "4": "G723", "8": "PCMA", "9": "G722", "13": "CN", "18": "G729"}
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_MAX_CODECS = 8


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """One message as CallControl.Messages tells it; `local` and `remote` are host:port, IPv6 in brackets."""

    unix_us: int
    sent: bool
    transport: str
    local: str
    remote: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SdpGist:
    """What SDP comes to in one line: its first stream that is not refused, else its first."""

    kind: str
    port: int
    protocol: str
    codecs: tuple[str, ...]
    """In the order of the m= line, e.g. "PCMU"; the format itself where it has no name."""
    direction: str
    address: str

    def __str__(self) -> str:
        if not self.port:
            return f"{self.kind} refused"
        host = f"[{self.address}]" if ":" in self.address else self.address
        words = [
            "" if self.kind == "audio" else self.kind,
            "" if self.protocol == "RTP/AVP" else self.protocol,
            ",".join(self.codecs),
            self.direction,
            f"{host}:{self.port}",
        ]
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class Rung:
    """A message and what it says.

    `status` is 0 for a request; `method` and `uri` are empty for a response; what is neither has its first line as
    `method`. `copy` is 0 for a message seen for the first time, and counts retransmissions (the same octets) from 1.
    """

    captured: CapturedMessage
    offset_us: int
    method: str
    uri: str
    status: int
    reason: str
    headers: Headers
    sdp: SdpGist | None
    copy: int

    @property
    def label(self) -> str:
        return f"{self.status} {self.reason}".rstrip() if self.status else self.method

    @property
    def text(self) -> str:
        return self.captured.data.decode("utf-8", "replace").replace("\r\n", "\n")

    def as_object(self) -> dict[str, Any]:
        """For programs; times in ms, offset from the first message."""
        sdp = self.sdp
        return {
            "unix_ms": self.captured.unix_us / 1000,
            "offset_ms": self.offset_us / 1000,
            "sent": self.captured.sent,
            "transport": self.captured.transport,
            "local": self.captured.local,
            "remote": self.captured.remote,
            "method": self.method or None,
            "uri": self.uri or None,
            "status": self.status or None,
            "reason": self.reason or None,
            "call_id": self.headers.get("Call-ID"),
            "cseq": self.headers.get("CSeq"),
            "retransmission": self.copy > 0,
            "sdp": None
            if sdp is None
            else {
                "kind": sdp.kind,
                "protocol": sdp.protocol,
                "codecs": list(sdp.codecs),
                "direction": sdp.direction,
                "address": sdp.address,
                "port": sdp.port,
            },
            "data": self.text,
        }


def read(messages: Sequence[CapturedMessage]) -> list[Rung]:
    """In the order of time."""
    ordered = sorted(messages, key=lambda one: one.unix_us)
    copies: dict[tuple[bool, str, bytes], int] = {}
    rungs: list[Rung] = []
    for one in ordered:
        key = (one.sent, one.remote, one.data)
        copies[key] = copies.get(key, -1) + 1
        rungs.append(_read(one, one.unix_us - ordered[0].unix_us, copies[key]))
    return rungs


def _read(one: CapturedMessage, offset_us: int, copy: int) -> Rung:
    head, _, body = one.data.decode("utf-8", "replace").replace("\r\n", "\n").lstrip("\n").partition("\n\n")
    first, *lines = re.sub(r"\n[ \t]+", " ", head).split("\n")
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.add(name.strip(), value.strip())
    match = _START_LINE.fullmatch(first.strip())
    if match is None:
        return Rung(one, offset_us, first.strip(), "", 0, "", headers, None, copy)
    method, uri, reason = (match[name] or "" for name in ("method", "uri", "reason"))
    return Rung(one, offset_us, method, uri, int(match["status"] or 0), reason, headers, sdp_gist(body), copy)


def sdp_gist(body: str) -> SdpGist | None:
    """Of a body that is SDP or has it as a part (RFC 5621); None where there is none."""
    start = re.search(r"^v=0\s*$", body, re.MULTILINE)
    if start is None:
        return None
    session: list[str] = []
    streams: list[tuple[re.Match[str], list[str]]] = []
    for line in body[start.start() :].split("\n"):
        line = line.strip()
        media = _MEDIA.fullmatch(line)
        if media is not None:
            streams.append((media, []))
        elif line.startswith("--"):  # the boundary of a multipart body
            break
        else:
            (streams[-1][1] if streams else session).append(line)
    if not streams:
        return None
    media, own = next((one for one in streams if int(one[0][2])), streams[0])
    names = _STATIC | {match[1]: match[2] for line in own if (match := _RTPMAP.match(line))}
    codecs = tuple(names.get(one, one) for one in media[4].split()[:_MAX_CODECS])
    return SdpGist(media[1], int(media[2]), media[3], codecs, _direction(own, session), _address(own, session))


def _direction(own: list[str], session: list[str]) -> str:
    found = [line[2:] for line in (*own, *session) if line.startswith("a=") and line[2:] in _DIRECTIONS]
    return found[0] if found else "sendrecv"


def _address(own: list[str], session: list[str]) -> str:
    found = [line.split() for line in (*own, *session) if line.startswith("c=")]
    return next((words[2] for words in found if len(words) >= 3), "?")
