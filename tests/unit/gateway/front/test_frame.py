"""Frames between front and worker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.front.frame import LARGEST, Carried, FrameInvalid, Kind, Told, unpack
from services.gateway.sip.transport import Flow, Transport

hosts = st.ip_addresses().map(str) | st.just("fe80::1%eth0")
flows = st.builds(
    Flow,
    st.sampled_from(Transport),
    st.tuples(hosts, st.integers(0, 65535)),
    st.integers(0, 2**64 - 1),
)
carried = st.builds(
    Carried,
    st.sampled_from([Kind.RECEIVED, Kind.UNSENT, Kind.SEND]),
    flows,
    st.binary(max_size=2000),
    st.text(max_size=60),
)
told = st.builds(Told, st.sampled_from([Kind.LEARNED, Kind.READY, Kind.DRAINING, Kind.ALIVE]), st.text(max_size=300))


@given(carried | told)
def test_what_is_packed_is_unpacked(frame: Carried | Told) -> None:
    assert unpack(frame.pack()) == frame


@given(st.binary(max_size=100))
def test_anything_else_is_refused(frame: bytes) -> None:
    try:
        read = unpack(frame)
    except FrameInvalid:
        return
    assert unpack(read.pack()) == read


@given(carried, st.integers(0, 13))
def test_a_cut_head_is_refused(frame: Carried, kept: int) -> None:
    with pytest.raises(FrameInvalid):
        unpack(frame.pack()[:kept])


def test_the_largest_message_fits() -> None:
    flow = Flow(Transport.TCP, ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535), 2**63)
    frame = Carried(Kind.RECEIVED, flow, bytes(80 * 1024), "a" * 253).pack()
    assert unpack(frame) == Carried(Kind.RECEIVED, flow, bytes(80 * 1024), "a" * 253)


@pytest.mark.parametrize(
    "frame",
    [
        Carried(Kind.SEND, Flow(Transport.TLS, ("192.0.2.1", 5061)), b"", "a" * 256),
        Carried(Kind.SEND, Flow(Transport.UDP, ("192.0.2.1", 70000)), b""),
        Carried(Kind.SEND, Flow(Transport.UDP, ("192.0.2.1", 5060)), bytes(LARGEST)),
        Told(Kind.LEARNED, "a" * LARGEST),
    ],
)
def test_what_fits_no_frame_says_so(frame: Carried | Told) -> None:
    with pytest.raises(FrameInvalid, match="fits no frame"):
        frame.pack()
