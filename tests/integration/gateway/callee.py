"""A telephone that is called: it answers as the test says."""

import asyncio
import re
import secrets

from tests.integration.gateway.conftest import Telephone


class Callee(Telephone):
    """Made before the gateway, which is told of it: `gateway` is learned from the first INVITE's Via."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0))
        self.tag = secrets.token_hex(4)
        self.invited = ""

    def trunk(self, **more: object) -> dict[str, object]:
        return {
            "name": "pbx",
            "allow": ["127.0.0.0/8"],
            "proxy": f"sip:127.0.0.1:{self.sip_port}",
            "outbound": {"caller": "+4930999", "destinations": ["+49*"]},
            **more,
        }

    def _answer(self, request: str, status: str) -> None:
        via = re.search(r"^Via: SIP/2.0/UDP 127\.0\.0\.1:(\d+)", request, re.M)
        assert via is not None
        self.gateway = ("127.0.0.1", int(via[1]))
        if not request.startswith("INVITE"):
            super()._answer(request, status)
            return
        self.invited = request
        self.call_id, self.to = (_field(request, name) for name in ("Call-ID", "From"))
        port = re.search(r"^m=audio (\d+)", request, re.M)
        assert port is not None
        self.rtp_to = ("127.0.0.1", int(port[1]))

    def respond(self, status: str, described: bool = False) -> None:
        """To the INVITE; `described`: with SDP."""
        body = self.offer() if described else ""
        lines = [f"{name}: {_field(self.invited, name)}" for name in ("Via", "From", "Call-ID", "CSeq")]
        lines.append(f"To: {_field(self.invited, 'To')};tag={self.tag}")
        lines.append(f"Contact: <sip:phone@127.0.0.1:{self.sip_port}>")
        if body:
            lines.append("Content-Type: application/sdp")
        head = "\r\n".join([f"SIP/2.0 {status}", *lines, f"Content-Length: {len(body)}", "", ""])
        self.sip.sendto((head + body).encode(), self.gateway)

    async def accept(self) -> None:
        self.respond("200 OK", described=True)
        await self.incoming("ACK")

    async def heard_pitch(self, sounds: object, hz: float, within_s: float = 3) -> None:
        """Waits until that tone has come."""
        async with asyncio.timeout(within_s):
            while abs(sounds.pitch(self.pcm()[-3200:]) - hz) > 10:  # type: ignore[attr-defined]
                await asyncio.sleep(0.05)


def _field(message: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.*?)\s*$", message, re.M | re.I)
    assert found is not None
    return found[1]
