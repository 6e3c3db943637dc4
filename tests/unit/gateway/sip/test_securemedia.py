"""SRTP by SDES (RFC 4568) and by DTLS (RFC 5763) in offers and answers."""

from __future__ import annotations

import pytest

from services.gateway.sip import crypto
from services.gateway.sip.dtls import DtlsParameters, Fingerprint, fingerprints
from services.gateway.sip.sdp import Direction, SdpNotAcceptable, parse
from tests.unit.gateway.sip.negotiating import (
    ACTPASS,
    AUDIO,
    HEAD,
    ICE,
    KEY_32,
    KEY_80,
    MKI,
    OTHER,
    OTHER_80,
    OTHER_PRINT,
    OURS,
    PRINT,
    SAVP,
    THEIRS,
    TLS,
    UNKNOWN,
    answer,
    call,
    lines,
    values,
    version,
)

# SDES


@pytest.mark.parametrize(
    ("srtp", "media", "protocol", "tag"),
    [
        ("off", AUDIO + KEY_80, "RTP/AVP", None),
        ("off", SAVP + KEY_80, None, "302"),
        ("optional", AUDIO, "RTP/AVP", None),
        ("optional", AUDIO + KEY_80, "RTP/AVP", "1"),
        ("optional", AUDIO + UNKNOWN, "RTP/AVP", None),
        ("optional", SAVP + KEY_80 + KEY_32, "RTP/SAVP", "1"),
        ("optional", SAVP + UNKNOWN + KEY_32, "RTP/SAVP", "2"),
        ("optional", SAVP + MKI + KEY_32, "RTP/SAVP", "2"),
        ("optional", SAVP.replace("SAVP", "SAVPF") + KEY_80, "RTP/SAVPF", "1"),
        ("optional", SAVP, None, "306"),
        ("optional", SAVP + MKI, None, "306"),
        ("required", SAVP + KEY_80, "RTP/SAVP", "1"),
        ("required", AUDIO + KEY_80, "RTP/AVP", "1"),
        ("required", AUDIO, None, "306"),
    ],
)
def test_srtp_answered(srtp: str, media: str, protocol: str | None, tag: str | None) -> None:
    if protocol is None:
        with pytest.raises(SdpNotAcceptable) as caught:
            answer(HEAD + media, srtp=srtp)
        assert (caught.value.warning or "")[:3] == tag
        return
    result = answer(HEAD + media, srtp=srtp)
    assert lines(result.body, "m=")[0].split()[2] == protocol
    answered = lines(result.body, "a=crypto:")
    assert [line[len("a=crypto:")] for line in answered] == ([] if tag is None else [tag])
    keys = result.negotiated.srtp
    assert (keys is None) == (tag is None)
    if keys is not None:
        ours = crypto.parse(answered[0].removeprefix("a=crypto:"))
        assert ours is not None
        assert ours.key == keys.send
        assert keys.send.keying == bytes([1]) * 30
        assert keys.receive in [one.key for one in crypto.usable(parse(HEAD + media).media[0].values("crypto"))]


def test_of_two_streams_the_one_that_is_allowed() -> None:
    text = HEAD + SAVP + KEY_80 + AUDIO
    for srtp, taken in (("off", 1), ("optional", 0), ("required", 0)):
        ports = [media.port for media in parse(answer(text, srtp=srtp).body).media]
        assert [bool(port) for port in ports] == [at == taken for at in (0, 1)]


def test_keys_stay_until_the_peer_changes_its_own() -> None:
    ours = call(srtp="optional")
    first = ours.answer(HEAD + SAVP + KEY_80)
    again = ours.answer(HEAD + SAVP + KEY_80)
    assert again.body == first.body
    assert ours.offer(Direction.SENDONLY).count(b"a=crypto") == 1
    assert ours.accept(HEAD + SAVP + KEY_80 + "a=recvonly\n").srtp == first.negotiated.srtp
    rekeyed = ours.answer(HEAD + SAVP + OTHER_80).negotiated.srtp
    assert rekeyed is not None
    assert first.negotiated.srtp is not None
    assert rekeyed.send.keying == bytes([2]) * 30
    assert rekeyed.receive != first.negotiated.srtp.receive
    assert ours.answer(HEAD + AUDIO).negotiated.srtp is None
    back = ours.answer(HEAD + SAVP + OTHER_80).negotiated.srtp
    assert back is not None
    assert back.send.keying == bytes([3]) * 30, "a key that was in use comes never back: its packets are counted anew"


@pytest.mark.parametrize(
    ("srtp", "offered", "peer", "encrypted"),
    [
        ("off", "RTP/AVP", "off", False),
        ("off", "RTP/AVP", "optional", False),
        ("optional", "RTP/AVP", "off", False),
        ("optional", "RTP/AVP", "optional", True),
        ("optional", "RTP/AVP", "required", True),
        ("required", "RTP/SAVP", "optional", True),
        ("required", "RTP/SAVP", "required", True),
    ],
)
def test_srtp_offered(srtp: str, offered: str, peer: str, encrypted: bool) -> None:
    ours, theirs = call(srtp=srtp), call(srtp=peer)
    body = ours.offer()
    assert lines(body, "m=")[0].split()[2] == offered
    assert len(lines(body, "a=crypto:")) == (0 if srtp == "off" else 2)
    assert (ours.provisional is None) == (srtp != "off")
    answered = theirs.answer(body)
    agreed = ours.accept(answered.body)
    assert (agreed.srtp is not None) == encrypted
    if agreed.srtp is not None and answered.negotiated.srtp is not None:
        assert agreed.srtp.send == answered.negotiated.srtp.receive
        assert agreed.srtp.receive == answered.negotiated.srtp.send


@pytest.mark.parametrize(
    ("srtp", "answered", "warning"),
    [
        ("required", AUDIO, "302"),
        ("required", SAVP, "306"),
        ("required", SAVP + KEY_32, "306"),
        ("required", SAVP + MKI, "306"),
        ("optional", AUDIO + UNKNOWN, "306"),
        ("optional", SAVP, "306"),
        ("optional", SAVP + KEY_80, None),
        ("required", AUDIO + KEY_80, None),
        ("required", SAVP + KEY_80.replace("crypto:1", "crypto:9"), None),
    ],
)
def test_srtp_answers(srtp: str, answered: str, warning: str | None) -> None:
    ours = call(srtp=srtp)
    ours.offer()
    if warning is None:
        assert ours.accept(HEAD + answered).srtp is not None
        return
    with pytest.raises(SdpNotAcceptable) as caught:
        ours.accept(HEAD + answered)
    assert (caught.value.warning or "")[:3] == warning


@pytest.mark.parametrize("stream", [SAVP + KEY_80, TLS + "a=setup:active\n" + PRINT])
@pytest.mark.parametrize("anew", [False, True])
def test_an_answer_does_not_take_from_a_stream_what_the_offer_gave_it(stream: str, anew: bool) -> None:
    """An answer names the offer's transport (RFC 3264 §6): plain RTP was not offered where SAVP was."""
    ours = call(srtp="optional", fingerprint=OURS)
    before = ours.answer(HEAD + stream).negotiated
    ours.offer(Direction.SENDONLY, anew=anew)
    with pytest.raises(SdpNotAcceptable) as caught:
        ours.accept(HEAD + AUDIO)
    assert (caught.value.warning or "")[:3] == "302"
    assert ours.negotiated == before


# DTLS


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (str(THEIRS), THEIRS),
        (str(THEIRS).lower().replace("sha", "SHA"), THEIRS),
        ("sha-1 " + ":".join(["00"] * 20), OTHER),
        ("md5 " + ":".join(["00"] * 16), None),
        ("sha-256 " + ":".join(["00"] * 31), None),
        ("sha-256 " + ":".join(["0"] * 32), None),
        ("sha-256", None),
        ("", None),
    ],
)
def test_fingerprints(value: str, found: Fingerprint | None) -> None:
    assert fingerprints([value]) == (() if found is None else (found,))


def test_fingerprints_are_bounded() -> None:
    assert len(fingerprints(str(Fingerprint("sha-1", bytes([one]) * 20)) for one in range(99))) == 8
    assert fingerprints([str(THEIRS)] * 2) == (THEIRS,)
    assert str(OTHER) == "sha-1 " + ":".join(["00"] * 20)


@pytest.mark.parametrize(
    ("srtp", "media", "taken"),
    [
        ("off", TLS + ACTPASS + PRINT, "302"),
        ("off", AUDIO + ACTPASS + PRINT, "plain"),
        ("off", SAVP + ACTPASS + PRINT, "302"),
        ("optional", TLS + ACTPASS + PRINT, "dtls"),
        ("optional", TLS.replace("SAVP", "SAVPF") + ACTPASS + PRINT, "dtls"),
        ("optional", TLS.lower() + ACTPASS + PRINT, "dtls"),
        ("optional", SAVP + ACTPASS + PRINT, "dtls"),
        ("optional", SAVP.replace("SAVP", "SAVPF") + ACTPASS + PRINT, "dtls"),
        ("optional", AUDIO + ACTPASS + PRINT, "dtls"),
        ("optional", SAVP + PRINT + KEY_80, "sdes"),
        ("optional", SAVP + PRINT + UNKNOWN, "dtls"),
        ("optional", TLS + PRINT + KEY_80, "dtls"),
        ("optional", TLS + KEY_80, "306"),
        ("optional", TLS + "a=fingerprint:md5 00\n", "306"),
        ("optional", AUDIO + "a=fingerprint:md5 00\n", "plain"),
        ("required", TLS + ACTPASS + PRINT, "dtls"),
        ("required", AUDIO + ACTPASS + PRINT, "dtls"),
        ("required", AUDIO + "a=fingerprint:md5 00\n", "306"),
    ],
)
def test_dtls_answered(srtp: str, media: str, taken: str) -> None:
    if taken.isdigit():
        with pytest.raises(SdpNotAcceptable) as caught:
            answer(HEAD + media, srtp=srtp, fingerprint=OURS)
        assert (caught.value.warning or "")[:3] == taken
        return
    result = answer(HEAD + media, srtp=srtp, fingerprint=OURS)
    agreed = result.negotiated
    assert (agreed.dtls is not None, agreed.srtp is not None) == (taken == "dtls", taken == "sdes")
    assert values(result.body, "fingerprint") == ([str(OURS)] if taken == "dtls" else [])
    assert lines(result.body, "m=")[0].split()[2] == parse(HEAD + media).media[0].protocol
    if agreed.dtls is not None:
        assert agreed.dtls.fingerprints == (THEIRS,)


@pytest.mark.parametrize("srtp", ["optional", "required"])
def test_without_a_certificate_there_is_no_dtls(srtp: str) -> None:
    with pytest.raises(SdpNotAcceptable) as caught:
        answer(HEAD + TLS + PRINT, srtp=srtp)
    assert caught.value.warning == (
        '302 tandem "Transport UDP/TLS/RTP/SAVP is not supported, only RTP/AVP and RTP/SAVP"'
    )
    with pytest.raises(ValueError, match="certificate"):
        call(srtp=srtp, dtls=True)


@pytest.mark.parametrize(
    ("setup", "answered", "with_ice"),
    [
        ("actpass", "passive", "active"),
        ("ActPass", "passive", "active"),
        ("active", "passive", "passive"),
        ("passive", "active", "active"),
        ("holdconn", "passive", "passive"),
        (None, "passive", "passive"),
    ],
)
@pytest.mark.parametrize("level", ["session", "media"])
def test_who_opens_the_handshake(setup: str | None, answered: str, with_ice: str, level: str) -> None:
    """RFC 4145 §4.1, RFC 5763 §5."""
    attributes = PRINT + ("" if setup is None else f"a=setup:{setup}\n")
    for ice, role in (("", answered), (ICE, with_ice)):
        text = HEAD + attributes + ice + TLS if level == "session" else HEAD + TLS + attributes + ice
        result = answer(text, srtp="optional", fingerprint=OURS)
        assert values(result.body, "setup") == [role]
        assert result.negotiated.dtls == DtlsParameters((THEIRS,), role == "active")


def test_what_stands_at_the_media_wins() -> None:
    text = HEAD + PRINT + "a=setup:passive\n" + TLS + OTHER_PRINT + "a=setup:active\n"
    assert answer(text, srtp="optional", fingerprint=OURS).negotiated.dtls == DtlsParameters((OTHER,), False)


def test_the_role_stays_while_the_certificate_does() -> None:
    """RFC 8842 §5.3; and the same parameters mean the same association."""
    ours = call(srtp="optional", fingerprint=OURS)
    first = ours.answer(HEAD + TLS + "a=setup:passive\n" + PRINT)
    again = ours.answer(HEAD + TLS + ACTPASS + PRINT)
    assert (again.body, again.negotiated) == (first.body, first.negotiated)
    assert values(ours.offer(Direction.SENDONLY), "setup") == ["active"]
    assert ours.accept(HEAD + TLS + "a=setup:passive\n" + PRINT).dtls == first.negotiated.dtls
    other = ours.answer(HEAD + TLS + ACTPASS + OTHER_PRINT).negotiated.dtls
    assert other == DtlsParameters((OTHER,), False)


def test_dtls_comes_and_goes() -> None:
    ours = call(srtp="optional", fingerprint=OURS)
    assert ours.answer(HEAD + AUDIO).negotiated.dtls is None
    secured = ours.answer(HEAD + TLS + ACTPASS + PRINT)
    assert secured.negotiated.dtls is not None
    by_keys = ours.answer(HEAD + SAVP + KEY_80)
    assert (by_keys.negotiated.dtls, by_keys.negotiated.srtp is None) == (None, False)
    plain = ours.answer(HEAD + AUDIO)
    assert (plain.negotiated.dtls, plain.negotiated.srtp) == (None, None)
    assert [version(one.body) for one in (secured, by_keys, plain)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("srtp", "dtls", "protocol", "names"),
    [
        ("off", True, "RTP/AVP", []),
        ("optional", False, "RTP/AVP", ["crypto", "crypto"]),
        ("optional", True, "RTP/AVP", ["setup", "fingerprint"]),
        ("required", False, "RTP/SAVP", ["crypto", "crypto"]),
        ("required", True, "UDP/TLS/RTP/SAVP", ["setup", "fingerprint"]),
    ],
)
def test_dtls_offered(srtp: str, dtls: bool, protocol: str, names: list[str]) -> None:
    ours = call(srtp=srtp, dtls=dtls, fingerprint=OURS)
    body = ours.offer()
    assert lines(body, "m=")[0].split()[2] == protocol
    found = [line[2:].split(":")[0] for line in lines(body, "a=")]
    assert [name for name in found if name in ("crypto", "setup", "fingerprint")] == names
    assert (ours.provisional is None) == bool(names)
    if dtls and names:
        assert values(body, "setup") == ["actpass"]


@pytest.mark.parametrize(
    ("srtp", "answered", "settled"),
    [
        ("required", TLS + "a=setup:active\n" + PRINT, False),
        ("required", TLS + "a=setup:passive\n" + PRINT, True),
        ("required", TLS + PRINT, True),
        ("required", TLS + ACTPASS + PRINT, True),
        ("required", TLS, "306"),
        ("required", TLS + "a=fingerprint:sha-256 00\n", "306"),
        ("required", AUDIO, "302"),
        ("required", SAVP + KEY_80, "306"),
        ("optional", AUDIO + "a=setup:active\n" + PRINT, False),
        ("optional", AUDIO, None),
        ("optional", AUDIO + KEY_80, None),
    ],
)
def test_answers_to_dtls(srtp: str, answered: str, settled: bool | str | None) -> None:
    """By the a=setup of the answer we are active or not; a number is that of the Warning."""
    ours = call(srtp=srtp, dtls=True, fingerprint=OURS)
    ours.offer()
    if isinstance(settled, str):
        with pytest.raises(SdpNotAcceptable) as caught:
            ours.accept(HEAD + answered)
        assert (caught.value.warning or "")[:3] == settled
        return
    agreed = ours.accept(HEAD + answered)
    assert agreed.dtls == (None if settled is None else DtlsParameters((THEIRS,), settled))
    assert agreed.srtp is None


def test_an_invite_without_sdp_asks_for_a_new_handshake() -> None:
    ours = call(srtp="required", fingerprint=OURS)
    ours.answer(HEAD + TLS + "a=setup:active\n" + PRINT)
    body = ours.offer(anew=True)
    assert lines(body, "m=")[0].split()[2] == "UDP/TLS/RTP/SAVP"
    assert (values(body, "setup"), values(body, "crypto")) == (["actpass"], [])
