"""A telephone of a few lines: what sipp cannot say. Has nothing of the gateway's own SIP or RTP in it."""

import asyncio
import contextlib
import hashlib
import re
import secrets
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.sip.processes import Gateway

Address = tuple[str, int]
_EVENTS = "0123456789*#ABCD"


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.queue.put_nowait((data, addr))


class Telephone:
    """SIP over UDP; its messages go to the log in sipp's format."""

    def __init__(self, host: str, port: int, gateway: Gateway, log: Path) -> None:
        self.host, self.port, self.gateway, self._log = host, port, gateway, log
        self.call_id, self.tag = f"{secrets.token_hex(6)}@{host}", secrets.token_hex(4)
        self.to = f"<sip:echo@{gateway.address}>"

    @classmethod
    async def open(cls, host: str, port: int, gateway: Gateway, log: Path) -> "Telephone":
        phone = cls(host, port, gateway, log)
        loop = asyncio.get_running_loop()
        phone._socket, phone._inbox = await loop.create_datagram_endpoint(_Inbox, local_addr=(host, port))
        return phone

    def close(self) -> None:
        self._socket.close()

    @property
    def uri(self) -> str:
        return f"sip:echo@{self.gateway.address}"

    def send(self, method: str, cseq: int, headers: str = "", body: str = "", branch: str = "") -> None:
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"{method} {self.uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{branch or secrets.token_hex(6)};rport\r\n"
            f"From: <sip:tester@{self.host}>;tag={self.tag}\r\nTo: {self.to}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {cseq} {method}\r\nContact: <sip:tester@{self.host}:{self.port}>\r\nMax-Forwards: 70\r\n"
            f"{headers}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._write("sent", text)
        self._socket.sendto(text.encode(), (self.gateway.host, self.gateway.port))

    async def final(self, within_s: float = 5) -> str:
        """The next final response."""
        async with asyncio.timeout(within_s):
            while True:
                text = (await self._inbox.queue.get())[0].decode()
                self._write("received", text)
                if re.match(r"SIP/2.0 [2-6]", text):
                    return text

    @property
    def offer(self) -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0\r\n"
        )

    async def invite(self, cseq: int, headers: str = "") -> str:
        """The final response; ACKed."""
        self.send("INVITE", cseq, headers, self.offer)
        response = await self.final()
        untagged, self.to = self.to, re.search(r"^To:\s*(.*?)\s*$", response, re.M | re.I)[1]  # type: ignore[index]
        self.send("ACK", cseq)
        if not response.startswith("SIP/2.0 2"):
            self.to = untagged
        return response

    def _write(self, what: str, text: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{'-' * 47} {datetime.now():%Y-%m-%d %H:%M:%S.%f}\nUDP message {what}:\n\n{text}\n")


def credentials(challenge: str, uri: str, user: str, password: str, algorithm: str) -> str:
    """Authorization for INVITE with the challenge of `algorithm` in a 401 (RFC 7616)."""
    hashing = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

    def h(text: str) -> str:
        return hashing(text.encode()).hexdigest()

    for line in re.findall(r"^WWW-Authenticate:\s*(.*?)\s*$", challenge, re.M | re.I):
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', line))
        if fields.get("algorithm", "MD5").upper() == algorithm:
            break
    else:
        raise AssertionError(f"no challenge with {algorithm} in:\n{challenge}")
    cnonce, count = "0a4f113b", "00000001"
    secret = h(f"{user}:{fields['realm']}:{password}")
    proof = h(f"{secret}:{fields['nonce']}:{count}:{cnonce}:auth:{h(f'INVITE:{uri}')}")
    return (
        f'Authorization: Digest username="{user}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{uri}", '
        f'response="{proof}", algorithm={algorithm}, cnonce="{cnonce}", qop=auth, nc={count}'
        + (f', opaque="{fields["opaque"]}"' if "opaque" in fields else "")
        + "\r\n"
    )


async def digest(phone: Telephone, algorithm: str, password: str, status: int, replay: bool = False) -> None:
    """Challenged, answered: `status` is what comes then. `replay`: the same credentials again are challenged anew."""
    challenge = await phone.invite(1)
    assert challenge.startswith("SIP/2.0 401"), f"expected 401, not {challenge.splitlines()[0]}"
    authorization = credentials(challenge, phone.uri, "alice", password, algorithm)
    response = await phone.invite(2, authorization)
    assert response.startswith(f"SIP/2.0 {status}"), f"expected {status}, not {response.splitlines()[0]}"
    if status == 200:
        phone.send("BYE", 3)
        await phone.final()
    if replay:
        phone.to, phone.call_id = f"<{phone.uri}>", f"again-{phone.call_id}"
        again = await phone.invite(1, authorization)
        assert again.startswith("SIP/2.0 401"), f"a replay got {again.splitlines()[0]}"


async def late_invite(phone: Telephone) -> None:
    """Copies of an INVITE that come after its 200, before and after the ACK: no other call, no other tag."""
    for _ in range(3):
        phone.send("INVITE", 1, body=phone.offer, branch="late")
        await asyncio.sleep(0.1)
    first = await phone.final()
    untagged, phone.to = phone.to, re.search(r"^To:\s*(.*?)\s*$", first, re.M | re.I)[1]  # type: ignore[index]
    tagged = phone.to
    phone.send("ACK", 1)
    phone.to = untagged
    phone.send("INVITE", 1, body=phone.offer, branch="late")
    await asyncio.sleep(0.7)
    phone.to = tagged
    phone.send("BYE", 2)
    while "CSeq: 2 BYE" not in (response := await phone.final()):
        assert response.startswith("SIP/2.0 200"), f"another answer:\n{response}"
        assert tagged in response, f"another tag than {tagged}:\n{response}"
    assert response.startswith("SIP/2.0 200"), response


async def bye_during_reinvite(phone: Telephone) -> None:
    """re-INVITE and BYE in one breath: the BYE is answered, and what comes for the re-INVITE comes twice at most."""
    await phone.invite(1)
    phone.send("INVITE", 2, body=phone.offer)
    phone.send("BYE", 3)
    finals: list[str] = []
    with contextlib.suppress(TimeoutError):
        while True:
            finals.append(await phone.final(1.8))
    byes = [one for one in finals if "CSeq: 3 BYE" in one]
    assert len(byes) == 1, f"{len(byes)} answers to the BYE"
    assert byes[0].startswith("SIP/2.0 200"), byes[0]
    assert 1 <= len(finals) - 1 <= 2, f"{len(finals) - 1} final responses to the re-INVITE"


async def rtp_digit(
    here: Address, there: Address, digit: str, payload_type: int = 101, clock_hz: int = 8000, marker: bool = False
) -> None:
    """100 ms of silence, then a key of 100 ms."""
    sender, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Inbox, local_addr=here)
    step, stamp, ssrc = clock_hz // 50, 5000, secrets.randbits(32)
    try:
        for sequence in range(5):
            sender.sendto(struct.pack("!BBHII", 0x80, 0, sequence, 1000 + 160 * sequence, ssrc) + b"\xff" * 160, there)
            await asyncio.sleep(0.02)
        for count in range(1, 9):
            end = 0x80 if count > 5 else 0
            event = struct.pack("!BBH", _EVENTS.index(str(digit)), end | 10, step * min(count, 5))
            second = payload_type | (0x80 if marker and count == 1 else 0)
            sender.sendto(struct.pack("!BBHII", 0x80, second, 4 + count, stamp, ssrc) + event, there)
            await asyncio.sleep(0.02)
    finally:
        sender.close()


async def rtp_echo(here: Address, there: Address, payload_type: int = 0, hijack: bool = False) -> None:
    """Sends audio until it comes back. `hijack`: a packet from another port must not take the stream away."""
    loop = asyncio.get_running_loop()
    sender, inbox = await loop.create_datagram_endpoint(_Inbox, local_addr=here)
    thief, stolen = await loop.create_datagram_endpoint(_Inbox, local_addr=(here[0], here[1] + 2))
    ssrc = secrets.randbits(32)
    try:
        for sequence in range(60):
            head = struct.pack("!BBHII", 0x80, payload_type, sequence, 160 * sequence, ssrc)
            sender.sendto(head + bytes(range(160)), there)
            if hijack and sequence in (20, 21, 22):
                thief.sendto(struct.pack("!BBHII", 0x80, payload_type, 9, 9, 7) + b"\x55" * 160, there)
            await asyncio.sleep(0.02)
        back = [inbox.queue.get_nowait()[0] for _ in range(inbox.queue.qsize())]
        loud = [one for one in back if len(set(one[12:])) > 50 and one[1] & 0x7F == payload_type]
        assert len(loud) > 20, f"{len(loud)} packets of 60 came back"
        assert stolen.queue.empty(), f"{stolen.queue.qsize()} packets went to a stranger"
    finally:
        sender.close()
        thief.close()


async def stream(phone: Telephone, via_port: int | None = None) -> None:
    """TCP: a pong for CRLF CRLF, and an answer each for a request in pieces and for two in one segment."""
    reader, writer = await asyncio.open_connection(phone.gateway.host, phone.gateway.port, local_addr=(phone.host, 0))
    port = via_port or writer.get_extra_info("sockname")[1]

    def options(cseq: int) -> bytes:
        return (
            f"OPTIONS {phone.uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP {phone.host}:{port};branch=z9hG4bK{secrets.token_hex(6)}\r\n"
            f"From: <sip:tester@{phone.host}>;tag={phone.tag}\r\nTo: {phone.to}\r\nCall-ID: {phone.call_id}\r\n"
            f"CSeq: {cseq} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 4\r\n\r\nv=0\n"
        ).encode()

    async def answered(cseq: int) -> None:
        async with asyncio.timeout(3):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"^(?:Content-Length|l)\s*:\s*(\d+)", head, re.M | re.I)
            assert length is not None, f"no Content-Length on a stream:\n{head}"
            await reader.readexactly(int(length[1]))
        assert f"CSeq: {cseq} OPTIONS" in head, f"expected the answer to OPTIONS {cseq}:\n{head}"

    try:
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), 3) == b"\r\n"
        whole = options(1)
        for start in range(0, len(whole), 97):
            writer.write(whole[start : start + 97])
            await writer.drain()
            await asyncio.sleep(0.005)
        await answered(1)
        writer.write(options(2) + options(3))
        await answered(2)
        await answered(3)
    finally:
        writer.close()
