"""The edges that are compared do the same work, and the C one says why it is not there."""

import socket
import struct
from pathlib import Path

import numpy as np
import pytest

from bench.mediaedges import native
from bench.mediaedges.__main__ import spread, turns_of
from bench.mediaedges.echocall import FRAME, SILENCE, EchoCall
from services.gateway.codecs.g711 import PCMU
from services.gateway.rtp import RtpPacket

PEER, STRANGER = ("127.0.0.1", 4000), ("127.0.0.1", 4001)
PAYLOAD = bytes(range(96, 256))
GOOD = RtpPacket(0, 65535, 2**32 - FRAME, 7, PAYLOAD).pack()
EXTENDED = struct.pack("!BBHII", 0x91, 0, 1, 2, 3) + bytes(4) + struct.pack("!HH", 0xBEDE, 1) + bytes(4) + PAYLOAD
PADDED = struct.pack("!BBHII", 0xA0, 0, 1, 2, 3) + PAYLOAD + bytes((0, 0, 0, 4))
DATAGRAMS = {
    "good": (GOOD, True),
    "header extension and CSRC": (EXTENDED, True),
    "padding": (PADDED, True),
    "empty": (b"", False),
    "cut in the header": (GOOD[:11], False),
    "version 1": (b"\x40" + GOOD[1:], False),
    "RTCP": (b"\x80\xc8" + GOOD[2:], False),
    "cut in the extension": (EXTENDED[:18], False),
    "extension past the end": (b"\x90" + GOOD[1:12] + b"\xbe\xde\xff\xff" + PAYLOAD, False),
    "padding of length 0": (b"\xa0" + GOOD[1:-1] + b"\x00", False),
    "padding past the end": (b"\xa0" + GOOD[1:12] + b"\xff", False),
}


@pytest.mark.parametrize("name", DATAGRAMS)
def test_an_echo_call_hears_rtp_of_its_peer(name: str) -> None:
    datagram, good = DATAGRAMS[name]
    call = EchoCall(1)
    assert (call.heard(datagram, PEER) is not None) is good
    assert call.destination == (PEER if good else None)


def test_an_echo_call_says_what_it_heard_last() -> None:
    call = EchoCall(1)
    first = RtpPacket.parse(call.packet())
    assert PCMU.decode(first.payload) == SILENCE
    heard = call.heard(GOOD, PEER)
    assert heard is not None
    call.pcm = heard
    second = RtpPacket.parse(call.packet(2))
    assert second.payload == PCMU.encode(heard)
    assert (second.sequence, second.timestamp) == (first.sequence + 1, first.timestamp + 2 * FRAME)
    assert call.heard(GOOD, STRANGER) is None


def test_the_c_edge_hears_and_says_the_same(tmp_path: Path) -> None:
    try:
        edge = _CEdge(native.build(tmp_path))
    except native.NotBuilt as why:
        pytest.skip(str(why))
    with edge:
        for datagram, good in DATAGRAMS.values():
            edge.peer.sendto(datagram, edge.address)
            heard = edge.receive()
            assert heard == (EchoCall(1).heard(datagram, PEER) if good else None)
        edge.stranger.sendto(GOOD, edge.address)
        assert edge.receive() is None
        call = EchoCall(7)
        call.pcm = PCMU.decode(PAYLOAD)
        for slots in (1, 3):
            edge.say(call.pcm, slots)
            said, expected = RtpPacket.parse(edge.peer.recv(2048)), RtpPacket.parse(call.packet(slots))
            assert said.payload == expected.payload
            assert said.ssrc == expected.ssrc
        assert (said.sequence, said.timestamp) == (1, 3 * FRAME)


def test_no_compiler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(native.shutil, "which", lambda _: None)
    with pytest.raises(native.NotBuilt, match="no C compiler"):
        native.build(tmp_path)


def test_figures() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert turns_of(0) == 0


class _CEdge:
    """One call of it, and two that send."""

    def __init__(self, file: Path) -> None:
        module = native.load(file)
        self._ffi, self._lib = module.ffi, module.lib
        decoded = np.frombuffer(PCMU.decode(bytes(range(256))), "<i2")
        encoded = np.frombuffer(PCMU.encode(np.arange(65536, dtype="<u2").tobytes()), np.uint8)
        self._edge = self._lib.edge_new(1, self._ints("int16_t *", decoded), self._ints("uint8_t *", encoded))
        self._here, self.peer, self.stranger = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
        self._here.bind(("127.0.0.1", 0))
        self.peer.settimeout(5)
        self.address = self._here.getsockname()
        assert self._lib.edge_add(self._edge, self._here.fileno(), 7) == 0
        assert self._lib.edge_add(self._edge, self._here.fileno(), 8) == -1

    def _ints(self, kind: str, array: np.ndarray) -> object:
        return self._ffi.cast(kind, array.ctypes.data)

    def receive(self) -> bytes | None:
        which, sequence = np.zeros(1, np.int32), np.zeros(1, np.uint16)
        timestamp, pcm = np.zeros(1, np.uint32), np.zeros(FRAME, np.int16)
        into = ("int32_t *", which), ("uint16_t *", sequence), ("uint32_t *", timestamp), ("int16_t *", pcm)
        came = self._lib.edge_receive(self._edge, 1, *(self._ints(kind, array) for kind, array in into))
        return pcm.tobytes() if came else None

    def say(self, pcm: bytes, slots: int) -> None:
        frame = np.frombuffer(pcm, "<i2")
        assert self._lib.edge_send(self._edge, 0, 1, slots, self._ints("int16_t *", frame)) == 1

    def __enter__(self) -> "_CEdge":
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._here, self.peer, self.stranger):
            one.close()
        self._lib.edge_free(self._edge)
