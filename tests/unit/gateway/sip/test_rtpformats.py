"""Which formats are offered and taken, and how much audio a packet holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.rtpformats import OpusParameters, packet_ms
from services.gateway.sip.sdp import Codec, parse
from tests.unit.gateway.sip.negotiating import AUDIO, HEAD, answer, call, lines, values

ALL = ("OPUS", "G722", "PCMU", "PCMA")
OPUS = "a=rtpmap:111 opus/48000/2\n"
BOTH_CLOCKS = OPUS + "a=rtpmap:96 telephone-event/8000\na=rtpmap:97 telephone-event/48000\n"
OPUS_FMTP = "minptime=10;useinbandfec=1;maxplaybackrate=16000;sprop-maxcapturerate=16000"


@pytest.mark.parametrize(
    ("formats", "maps", "codecs", "answered"),
    [
        ("8 0", "", ("PCMU", "PCMA"), "0"),  # our order wins
        ("0 8", "", ("PCMA", "PCMU"), "8"),
        ("18 8", "", ("PCMU", "PCMA"), "8"),
        ("96 97", "a=rtpmap:96 opus/48000/2\na=rtpmap:97 pcma/8000/1\n", ("PCMU", "PCMA"), "97"),
        ("96 0", "a=rtpmap:96 PCMU/16000\n", ("PCMU",), "0"),  # not the PCMU of a telephone
        ("0 13", "", ("PCMU",), "0 13"),
        ("13 0", "a=rtpmap:13 CN/8000\n", ("PCMU",), "0 13"),
        ("0 96", "a=rtpmap:96 CN/16000\n", ("PCMU",), "0"),
        ("0 101", "a=rtpmap:101 telephone-event/8000\n", ("PCMU",), "0 101"),
        ("0 101", "a=rtpmap:101 telephone-event/0\n", ("PCMU",), "0"),  # no clock that durations can be told by
        ("0 101", "a=rtpmap:101 telephone-event/999999\n", ("PCMU",), "0"),
        ("0 96 97", "a=rtpmap:96 telephone-event/48000\na=rtpmap:97 telephone-event/8000\n", ("PCMU",), "0 97"),
        ("0 96 97", "a=rtpmap:96 telephone-event/8000\na=rtpmap:97 telephone-event/8000\n", ("PCMU",), "0 96 97"),
        ("0 110", "a=rtpmap:110 telephone-event/48000\n", ("PCMU",), "0 110"),
        ("0 110 111", "a=rtpmap:110 telephone-event/48000\na=rtpmap:111 telephone-event/16000\n", ("PCMU",), "0 110"),
        ("0 0 13 13", "", ("PCMU",), "0 13"),
        ("9 0", "", ("G722", "PCMU"), "9"),
        ("0 97", "a=rtpmap:97 g722/8000\n", ("G722", "PCMU"), "97"),
        ("9", "a=rtpmap:9 G722/8000\n", ("PCMU", "G722"), "9"),
        ("9 0", "a=rtpmap:9 G722/16000\n", ("G722", "PCMU"), "0"),
        ("0 9 111", "a=rtpmap:111 opus/48000/2\n", ("OPUS", "G722", "PCMU"), "111"),
        ("0 111", "a=rtpmap:111 OPUS/48000\n", ("OPUS", "PCMU"), "111"),
        ("0 111", "a=rtpmap:111 opus/48000/1\n", ("OPUS", "PCMU"), "111"),
        ("0 111", "a=rtpmap:111 opus/16000\n", ("OPUS", "PCMU"), "111"),
        ("0 111", "a=rtpmap:111 opus/8000\n", ("OPUS", "PCMU"), "0"),
        ("0 111", "a=rtpmap:111 opus/48000/6\n", ("OPUS", "PCMU"), "0"),
        ("96 0", "a=rtpmap:96 PCMA/8000/2\n", ("PCMA", "PCMU"), "0"),
        ("9 13", "", ("G722",), "9 13"),
        ("111 13", "a=rtpmap:111 opus/48000/2\n", ("OPUS",), "111"),  # RFC 7587 §3.1.3: it has its own
        ("0 111 96 97", BOTH_CLOCKS, ("OPUS", "PCMU"), "111 97"),
        ("0 111 96 97", BOTH_CLOCKS, ("PCMU", "OPUS"), "0 96"),
        ("9 111 96 97", BOTH_CLOCKS, ("G722", "OPUS"), "9 96"),
        ("111 96", BOTH_CLOCKS, ("OPUS",), "111 96"),
        ("0 128", "a=rtpmap:128 telephone-event/8000\n", ("PCMU",), "0"),
    ],
)
def test_formats(formats: str, maps: str, codecs: tuple[str, ...], answered: str) -> None:
    result = answer(f"{HEAD}m=audio 4000 RTP/AVP {formats}\n{maps}", codecs=codecs)
    assert lines(result.body, "m=") == [f"m=audio 6000 RTP/AVP {answered}"]
    assert [str(codec.payload_type) for codec in result.negotiated.formats] == answered.split()
    assert str(result.negotiated.codec.payload_type) == answered.split()[0]


def test_telephone_event_on_another_clock_than_the_codec() -> None:
    """Answered on its own clock, on which its durations are then counted."""
    result = answer(f"{HEAD}m=audio 4000 RTP/AVP 0 110\na=rtpmap:110 telephone-event/48000\n")
    assert "a=rtpmap:110 telephone-event/48000" in lines(result.body)
    assert result.negotiated.telephone_event == Codec(110, "TELEPHONE-EVENT", 48000)


@pytest.mark.parametrize(
    ("attributes", "ptime_ms", "packet_ms"),
    [
        ("", None, 20),
        ("a=ptime:10\na=maxptime:150\n", 10, 10),
        ("a=ptime:30\n", 30, 30),
        ("a=ptime:30\na=maxptime:20\n", 30, 20),
        ("a=ptime:40\n", 40, 40),
        ("a=ptime:50\n", 50, 40),
        ("a=ptime:60\n", 60, 60),
        ("a=ptime:200\n", 200, 60),
        ("a=ptime:5\n", 5, 10),
        ("a=ptime:20.5\n", 20, 20),
        ("a=maxptime:20\n", None, 20),
        ("a=maxptime:40\n", None, 20),
        ("a=maxptime:10\n", None, 10),
        ("a=maxptime:19\n", None, 10),
        ("a=maxptime:3\n", None, 10),  # nobody sends less
        ("a=minptime:20\na=ptime:10\n", 10, 20),
        ("a=minptime:40\n", None, 40),
        ("a=maxptime:0\na=ptime:x\n", None, 20),
    ],
)
def test_packet_times(attributes: str, ptime_ms: int | None, packet_ms: int) -> None:
    result = answer(HEAD + AUDIO + attributes)
    assert (result.negotiated.ptime_ms, result.negotiated.packet_ms) == (ptime_ms, packet_ms)
    assert f"a=ptime:{packet_ms}" in lines(result.body)


@pytest.mark.parametrize(
    ("fmtp", "attributes", "packet_ms"),
    [
        ("useinbandfec=1", "", 20),
        ("useinbandfec=1", "a=ptime:30\n", 20),
        ("useinbandfec=1", "a=ptime:60\n", 60),
        ("useinbandfec=1", "a=ptime:10\n", 10),
        ("minptime=20", "a=ptime:10\n", 20),
        ("minptime=30", "", 40),
        ("minptime=120", "", 60),
        ("minptime=40", "a=maxptime:20\n", 20),  # a contradiction: the shorter is heard earlier
    ],
)
def test_packet_times_of_opus(fmtp: str, attributes: str, packet_ms: int) -> None:
    text = f"{HEAD}m=audio 4000 RTP/AVP 111\n{OPUS}a=fmtp:111 {fmtp}\n{attributes}"
    assert answer(text, codecs=("OPUS",)).negotiated.packet_ms == packet_ms


@given(
    st.sampled_from(ALL),
    st.none() | st.integers(1, 999),
    st.none() | st.integers(1, 999),
    st.none() | st.integers(0, 999),
)
def test_any_packet_time(encoding: str, ptime: int | None, maxptime: int | None, minptime: int | None) -> None:
    """One that the codec has, and never above maxptime unless that is below all."""
    rows = [f"a={name}:{value}" for name, value in (("ptime", ptime), ("maxptime", maxptime)) if value is not None]
    codec = Codec(96, encoding, 48000, None if minptime is None else f"minptime={minptime}")
    found = packet_ms(codec, parse(HEAD + "m=audio 4000 RTP/AVP 96\n" + "\n".join(rows)).media[0])
    assert found in (10, 20, 40, 60) or (found == 30 and encoding != "OPUS")
    assert found <= max(maxptime or 60, 10)


@pytest.mark.parametrize(
    ("codec", "wide", "rate"), [("0", False, 8000), ("8", False, 8000), ("9", True, 16000), ("111", True, 16000)]
)
def test_the_rate_of_the_samples(codec: str, wide: bool, rate: int) -> None:
    agreed = answer(f"{HEAD}m=audio 4000 RTP/AVP {codec}\n{OPUS}", codecs=ALL).negotiated
    assert (agreed.wide_band, agreed.sample_rate_hz) == (wide, rate)


@pytest.mark.parametrize(
    ("fmtp", "parameters"),
    [
        (None, OpusParameters()),
        ("", OpusParameters()),
        ("minptime=10;useinbandfec=1", OpusParameters(fec=True, min_ptime_ms=10)),
        (
            " MaxPlaybackRate=8000 ; maxaveragebitrate = 20000; stereo=1;cbr=1; usedtx=1;useinbandfec=0 ",
            OpusParameters(8000, 20000, stereo=True, cbr=True, dtx=True),
        ),
        ("maxplaybackrate=7;maxaveragebitrate=5;minptime=0", OpusParameters(8000, 6000)),
        ("maxplaybackrate=96000;maxaveragebitrate=999999", OpusParameters(48000, 510000)),
        ("maxaveragebitrate=9999999;useinbandfec=yes;stereo;=1;;", OpusParameters()),
    ],
)
def test_opus_parameters(fmtp: str | None, parameters: OpusParameters) -> None:
    assert OpusParameters.parse(fmtp) == parameters


def test_opus_is_answered_as_it_was_offered_and_with_our_parameters() -> None:
    """RFC 7587 §7: each side tells what it receives."""
    text = f"{HEAD}m=audio 4000 RTP/AVP 111\na=rtpmap:111 opus/48000\na=fmtp:111 stereo=1;maxaveragebitrate=24000\n"
    result = answer(text, codecs=ALL)
    assert values(result.body, "rtpmap") == ["111 opus/48000"]
    assert values(result.body, "fmtp") == [f"111 {OPUS_FMTP}"]
    assert result.negotiated.opus == OpusParameters(max_average_bitrate=24000, stereo=True)


def test_all_of_ours() -> None:
    body = call(codecs=ALL, srtp="optional").offer()
    assert lines(body, "m=") == ["m=audio 6000 RTP/AVP 96 9 0 8 102 101"]
    assert values(body, "rtpmap") == [
        "96 opus/48000/2",
        "9 G722/8000",
        "0 PCMU/8000",
        "8 PCMA/8000",
        "102 telephone-event/48000",
        "101 telephone-event/8000",
    ]
    assert values(body, "fmtp") == [f"96 {OPUS_FMTP}", "102 0-15", "101 0-15"]
    assert len(body) < 700, "an INVITE fits one datagram of 1300 bytes"


def test_a_payload_type_keeps_its_meaning() -> None:
    """RFC 3264 §8.3.2: what the peer once called 96 is never our Opus, which takes a free number and keeps it."""
    ours = call(codecs=("OPUS", "PCMU"))
    ours.answer(HEAD + "m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\n")
    ours.answer(HEAD + "m=audio 4000 RTP/AVP 0 97\na=rtpmap:97 telephone-event/8000\n")
    body = ours.offer(anew=True)
    assert lines(body, "m=") == ["m=audio 6000 RTP/AVP 98 0 97 102"]
    assert "98 opus/48000/2" in values(body, "rtpmap")
    ours.accept(HEAD + "m=audio 4000 RTP/AVP 0 97\na=rtpmap:97 telephone-event/8000\n")
    ours.answer(HEAD + "m=audio 4000 RTP/AVP 0\n")
    # As it was called last.
    assert lines(ours.offer(anew=True), "m=") == ["m=audio 6000 RTP/AVP 98 0 102 96"]


def test_an_offer_without_a_free_payload_type_leaves_one_out() -> None:
    ours = call(codecs=("OPUS", "PCMU"))
    rows = "".join(f"a=rtpmap:{number} telephone-event/8000\n" for number in range(96, 128))
    ours.answer(f"{HEAD}m=audio 4000 RTP/AVP 0 {' '.join(map(str, range(96, 128)))}\n{rows}")
    assert "opus" not in ours.offer(anew=True).decode()


def test_a_change_of_codec() -> None:
    """By either side, and back: the number stays."""
    ours = call(codecs=ALL)
    assert ours.answer(HEAD + AUDIO).negotiated.codec.encoding == "PCMU"
    wide = ours.answer(f"{HEAD}m=audio 4000 RTP/AVP 111 0\n{OPUS}").negotiated
    assert (wide.codec.encoding, wide.codec.payload_type, wide.sample_rate_hz) == ("OPUS", 111, 16000)
    assert ours.answer(HEAD + "m=audio 4000 RTP/AVP 9\n").negotiated.codec == Codec(9, "G722", 8000)
    body = ours.offer(anew=True)
    assert "111 opus/48000/2" in values(body, "rtpmap")
    agreed = ours.accept(f"{HEAD}m=audio 4000 RTP/AVP 111\n{OPUS}a=fmtp:111 useinbandfec=1\n")
    assert (agreed.codec.encoding, agreed.opus.fec) == ("OPUS", True)


@pytest.mark.parametrize(
    ("rtpmap", "taken"), [("opus/48000/2", True), ("opus/48000", True), ("opus/16000", False), ("opus/48000/7", False)]
)
def test_an_answer_has_the_clock_of_our_offer(rtpmap: str, taken: bool) -> None:
    ours = call(codecs=("OPUS", "PCMU"))
    ours.offer()
    agreed = ours.accept(f"{HEAD}m=audio 4000 RTP/AVP 96 0\na=rtpmap:96 {rtpmap}\n")
    assert agreed.codec.encoding == ("OPUS" if taken else "PCMU")
