"""The RFCs' own vectors; our client and our server agree; a password is refused once, a nonce used once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.challenge import DigestChallenger, Verdict
from services.gateway.sip.digest import Algorithm, Credentials, DigestError, Signature, parse_digests
from services.gateway.sip.digestclient import MAX_ROUNDS, DigestClient, Fields, credentials_of
from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response

URI = "sip:+4930123@carrier.example"
ALICE = Credentials("alice", "s3cret")
ALL = list(Algorithm)


def request(
    fields: Sequence[tuple[str, str]] = (),
    cseq: int = 1,
    method: str = "INVITE",
    uri: str = URI,
    call_id: str = "c1",
) -> Request:
    always = [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        ("From", "<sip:alice@carrier.example>;tag=1"),
        ("To", f"<{uri}>"),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
    ]
    return Request(method, uri, Headers([*always, *fields]), b"v=0\r\n")


def refusal(*challenges: tuple[str, str], status: int = 401) -> Response:
    return Response(status, "Unauthorized", Headers([("CSeq", "1 INVITE"), *challenges]))


def www(text: str) -> tuple[str, str]:
    return "WWW-Authenticate", f"Digest {text}"


def client(*credentials: Credentials) -> DigestClient:
    numbers = count(1)
    return DigestClient(credentials or (ALICE,), ids=lambda: f"cnonce{next(numbers)}")


def server(
    algorithms: list[Algorithm] = ALL, qops: tuple[str, ...] = ("auth",), users: dict[str, str] | None = None
) -> DigestChallenger:
    return DigestChallenger("tandem", users or {"alice": "s3cret"}, algorithms, b"sealed", 60.0, qops)


def parameters(fields: Fields | None) -> dict[str, str]:
    assert fields is not None
    assert len(fields) == 1
    return parse_digests(fields[0][1])[0]


# the arithmetic


@pytest.mark.parametrize(
    ("signature", "password", "response"),
    [
        (  # RFC 2617 §3.5
            Signature(
                Algorithm.MD5,
                "Mufasa",
                "testrealm@host.com",
                "dcd98b7102dd2f0e8b11d0f600bfb0c093",
                "/dir/index.html",
                "auth",
                "00000001",
                "0a4f113b",
            ),
            "Circle Of Life",
            "6629fae49393a05397450978507c4ef1",
        ),
        *(  # RFC 7616 §3.9.1
            (
                Signature(
                    algorithm,
                    "Mufasa",
                    "http-auth@example.org",
                    "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                    "/dir/index.html",
                    "auth",
                    "00000001",
                    "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                ),
                "Circle of Life",
                response,
            )
            for algorithm, response in (
                (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
                (Algorithm.SHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            )
        ),
        (  # RFC 2069 §2.4 with its erratum
            Signature(
                Algorithm.MD5, "Mufasa", "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "/dir/index.html"
            ),
            "CircleOfLife",
            "1949323746fe6a43ef61f9606e7febea",
        ),
    ],
)
def test_vectors(signature: Signature, password: str, response: str) -> None:
    assert signature.response(password, "GET") == response


@pytest.mark.parametrize(
    ("value", "digests"),
    [
        ('Digest realm="a, b" ,\tnonce = "n\\"x", qop="auth,auth-int"', [{"realm": "a, b", "nonce": 'n"x'}]),
        ('digest Realm=a, Basic realm="x", nonce="not ours", Digest realm="b"', [{"realm": "a"}, {"realm": "b"}]),
        ('Basic realm="x"', []),
    ],
)
def test_grammar(value: str, digests: list[dict[str, str]]) -> None:
    assert [{n: v for n, v in digest.items() if n != "qop"} for digest in parse_digests(value)] == digests


@pytest.mark.parametrize("value", ["", "Digest", 'realm="x"', 'Digest realm="x', 'Digest =x, nonce="n"'])
def test_bad_grammar(value: str) -> None:
    with pytest.raises(DigestError):
        parse_digests(value)


def test_a_password_shows_in_no_log_and_a_line_break_in_no_header() -> None:
    assert "s3cret" not in repr(ALICE)
    with pytest.raises(ValueError, match="control character"):
        Credentials("alice\r\nX: y", "p")


# the client


def test_header_is_quoted_as_peers_want_it() -> None:
    challenge = www('realm="r", nonce="n", algorithm=md5, qop="auth", opaque="o"')
    [(name, value)] = client().answer(request(), refusal(challenge)) or []
    assert name == "Authorization"
    response = parse_digests(value)[0]["response"]
    assert value == (
        f'Digest username="alice", realm="r", nonce="n", uri="{URI}", response="{response}", algorithm=md5, '
        'cnonce="cnonce1", qop=auth, nc=00000001, opaque="o"'
    )


def test_without_qop_no_cnonce_and_without_algorithm_none() -> None:
    answer = parameters(client().answer(request(), refusal(www('realm="r", nonce="n"'))))
    assert answer.keys() == {"username", "realm", "nonce", "uri", "response"}


@pytest.mark.parametrize(
    ("challenges", "algorithm", "qop"),
    [
        (['algorithm=MD5, qop="auth"', 'algorithm=SHA-256, qop="auth"'], "SHA-256", "auth"),
        (['algorithm=SHA-512-256, qop="auth"', 'algorithm=MD5, qop="auth-int"'], "MD5", "auth-int"),
        (['algorithm=SHA-256, qop="token"', 'algorithm="MD5", qop="auth-int, auth"'], "MD5", "auth"),
        (['algorithm=SHA-256-sess, qop="auth"', 'algorithm=SHA-256, qop="auth"'], "SHA-256-sess", "auth"),
    ],
)
def test_strongest_that_we_can(challenges: list[str], algorithm: str, qop: str) -> None:
    response = refusal(*(www(f'realm="r", nonce="n", {challenge}') for challenge in challenges))
    answer = parameters(client().answer(request(), response))
    assert (answer["algorithm"], answer["qop"]) == (algorithm, qop)


@pytest.mark.parametrize(
    "response",
    [
        refusal(www('realm="r", nonce="n", algorithm=SHA-512-256')),
        refusal(www('realm="theirs", nonce="n"')),
        refusal(www('realm="r"')),
        refusal(www('realm="r')),
        refusal(("WWW-Authenticate", 'Basic realm="r"')),
        refusal(),
        refusal(www('realm="r", nonce="n"'), status=403),
    ],
)
def test_what_cannot_be_answered(response: Response) -> None:
    assert client(Credentials("alice", "p", "r")).answer(request(), response) is None


def test_every_realm_gets_its_own_credentials() -> None:
    ours = client(Credentials("any", "p"), Credentials("bob", "p", "b"))
    response = refusal(
        www('realm="a", nonce="1"'), www('realm="b", nonce="2"'), ("Proxy-Authenticate", 'Digest realm="a", nonce="3"')
    )
    fields = ours.answer(request(), response) or []
    said = [(name, parse_digests(value)[0]) for name, value in fields]
    assert [(name, digest["realm"], digest["username"], digest["nonce"]) for name, digest in said] == [
        ("Authorization", "a", "any", "1"),
        ("Authorization", "b", "bob", "2"),
        ("Proxy-Authorization", "a", "any", "3"),
    ]


def test_proxy_then_server_both_stay_answered() -> None:
    ours = client()
    proxy = refusal(("Proxy-Authenticate", 'Digest realm="p", nonce="1", qop="auth"'), status=407)
    first = ours.answer(request(), proxy)
    second = ours.answer(request(first or [], 2), refusal(www('realm="s", nonce="2", qop="auth"'))) or []
    assert [(name, parse_digests(value)[0]["nc"]) for name, value in second] == [
        ("Proxy-Authorization", "00000002"),
        ("Authorization", "00000001"),
    ]


def test_same_nonce_again_is_a_refusal() -> None:
    ours, challenge = client(), refusal(www('realm="r", nonce="n", qop="auth"'))
    answer = ours.answer(request(), challenge)
    assert ours.answer(request(answer or [], 2), challenge) is None
    assert ours.authorize("BYE", URI) == []


def test_a_new_nonce_without_stale_is_believed_once() -> None:
    ours = client()
    fields: Fields | None = []
    rounds = 0
    while fields is not None and rounds < 10:
        rounds += 1
        fields = ours.answer(request(fields, rounds), refusal(www(f'realm="r", nonce="n{rounds}", qop="auth"')))
    assert rounds == 3


def test_after_a_refusal_the_next_request_tries_again() -> None:
    """A registration's next REGISTER has the next CSeq, and the carrier may have set the password right by then."""
    ours, theirs = client(), server(users={"alice": "another"})
    cseq = 0
    for _ in range(2 * MAX_ROUNDS):
        fields: Fields | None = ours.authorize("REGISTER", URI)
        tries = 0
        while fields is not None and tries < 10:
            cseq, tries = cseq + 1, tries + 1
            fields = ours.answer(request(fields, cseq, "REGISTER"), refusal(*theirs.challenges(float(cseq))))
        assert tries == 3


@pytest.mark.parametrize("step", [0, 1])
def test_stale_is_answered_but_not_for_ever(step: int) -> None:
    ours = client()
    fields: Fields | None = []
    rounds = 0
    while fields is not None and rounds < 10:
        rounds += 1
        challenge = refusal(www(f'realm="r", nonce="n{rounds}", stale=TRUE'))
        fields = ours.answer(request(fields, 1 + step * rounds), challenge)
    assert rounds == MAX_ROUNDS + 1


def test_further_requests_are_signed_before_they_are_challenged() -> None:
    ours = client()
    assert ours.authorize("INVITE", URI) == []
    answer = ours.answer(request(), refusal(www('realm="r", nonce="n", qop="auth"')))
    bye = ours.authorize("BYE", "sip:b@192.0.2.9")
    assert parameters(answer)["nc"] == "00000001"
    assert (parameters(bye)["nc"], parameters(bye)["uri"]) == ("00000002", "sip:b@192.0.2.9")
    # An old nonce refused without stale=true is answered: nc says it has worked before.
    later = ours.answer(request(bye, 7, "BYE"), refusal(www('realm="r", nonce="m", qop="auth"')))
    assert parameters(later)["nonce"] == "m"


def test_the_ack_for_a_2xx_repeats_the_credentials_of_its_invite() -> None:
    fields = [("Authorization", 'Digest realm="a"'), ("Proxy-Authorization", 'Digest realm="b"')]
    assert credentials_of(request(fields)) == fields


# the server


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("qops", [("auth",), ("auth-int",), ("auth", "auth-int"), ()])
@given(
    username=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    password=st.text(),
    realm=st.text(st.characters(exclude_categories=["Cs", "Cc"])),
)
def test_client_and_server_agree(
    algorithm: Algorithm, qops: tuple[str, ...], username: str, password: str, realm: str
) -> None:
    theirs = DigestChallenger(realm, {username: password}, [algorithm], b"sealed", 60.0, qops)
    ours = client(Credentials(username, password))
    answer = ours.answer(request(), refusal(*theirs.challenges(5.0)))
    assert answer is not None
    assert theirs.verify(request(answer, 2), 6.0) is Verdict.OK
    wrong = client(Credentials(username, password + "x")).answer(request(), refusal(*theirs.challenges(5.0)))
    assert theirs.verify(request(wrong or [], 2), 6.0) is Verdict.WRONG


def test_proxy_headers() -> None:
    theirs = DigestChallenger("p", {"alice": "s3cret"}, [Algorithm.MD5], b"sealed", 60.0, status=407)
    answer = client().answer(request(), refusal(*theirs.challenges(0.0), status=407)) or []
    assert answer[0][0] == "Proxy-Authorization"
    assert theirs.verify(request(answer), 0.0) is Verdict.OK


def test_one_challenge_an_algorithm_strongest_first() -> None:
    offered = server([Algorithm.MD5, Algorithm.SHA256]).challenges(1.0, stale=True)
    assert [(name, parse_digests(value)[0]["algorithm"]) for name, value in offered] == [
        ("WWW-Authenticate", "SHA-256"),
        ("WWW-Authenticate", "MD5"),
    ]
    assert all(value.endswith(', qop="auth", stale=true') for _, value in offered)


@pytest.mark.parametrize(
    ("now", "expected"), [(0.0, Verdict.OK), (60.0, Verdict.OK), (61.0, Verdict.STALE), (-9.0, Verdict.STALE)]
)
def test_a_nonce_has_its_time(now: float, expected: Verdict) -> None:
    theirs = server()
    answer = client().answer(request(), refusal(*theirs.challenges(100.0)))
    assert theirs.verify(request(answer or []), 100.0 + now) is expected


def test_a_nonce_of_the_life_before_is_stale_only_with_the_right_password() -> None:
    before = DigestChallenger("tandem", {}, ALL, b"another secret", 60.0).challenges(1.0)
    right = client().answer(request(), refusal(*before))
    wrong = client(Credentials("alice", "guess")).answer(request(), refusal(*before))
    assert server().verify(request(right or []), 1.0) is Verdict.STALE
    assert server().verify(request(wrong or []), 1.0) is Verdict.WRONG


@pytest.mark.parametrize(
    ("counts", "verdicts"),
    [
        ([1, 2, 3], "ok ok ok"),
        ([1, 1], "ok stale"),
        ([2, 1, 2, 1], "ok ok stale stale"),
        ([100, 37, 36, 37], "ok ok stale stale"),
        ([5, 0xFFFFFFFF, 5, 0xFFFFFFFF], "ok ok stale stale"),
        ([0, 0, 1], "ok stale stale"),  # 0: without qop
        ([1, 0, 2], "ok stale stale"),
    ],
)
def test_each_nc_once(counts: list[int], verdicts: str) -> None:
    theirs = server([Algorithm.MD5])
    nonce = parse_digests(theirs.challenges(0.0)[0][1])[0]["nonce"]
    seen = []
    for number in counts:
        qop, nc, cnonce = ("auth", f"{number:08x}", "c") if number else (None, "", "")
        signature = Signature(Algorithm.MD5, "alice", "tandem", nonce, URI, qop, nc, cnonce)
        response = signature.response("s3cret", "INVITE")
        value = f'Digest username="alice", realm="tandem", nonce="{nonce}", uri="{URI}", response="{response}"'
        value += f', qop=auth, nc={nc}, cnonce="c"' if number else ""
        seen.append(theirs.verify(request([("Authorization", value)]), 0.0))
    assert " ".join(seen) == verdicts


def test_the_memory_of_nonces_is_bounded_and_forgets_on_the_safe_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.sip.challenge._MAX_NONCES", 3)
    theirs = server()
    answers = [client().answer(request(), refusal(*theirs.challenges(float(made)))) or [] for made in range(5)]
    assert [theirs.verify(request(answer), 5.0) for answer in answers] == [Verdict.OK] * 5
    assert len(theirs._nonces._used) == 3
    assert [theirs.verify(request(answer), 5.0) for answer in answers] == [Verdict.STALE] * 5


def test_expired_nonces_are_forgotten() -> None:
    theirs = server()
    for now in (0.0, 100.0, 200.0):
        answer = client().answer(request(), refusal(*theirs.challenges(now)))
        assert theirs.verify(request(answer or []), now) is Verdict.OK
    assert len(theirs._nonces._used) == 1


@pytest.mark.parametrize(
    ("signed", "request_uri", "expected"),
    [
        (URI, "sip:+4930123@CARRIER.example:5060;user=phone", Verdict.OK),
        (URI, "sips:+4930123@carrier.example", Verdict.OK),
        (URI, "sip:+4930999@carrier.example", Verdict.WRONG),
        (URI, "sip:+4930123@elsewhere.example", Verdict.WRONG),
        ("tel:+4930123;x=y", "sip:+4930123@carrier.example", Verdict.OK),
        ("/dir/index.html", "sip:carrier.example", Verdict.WRONG),
    ],
)
def test_uri_is_compared_tolerantly(signed: str, request_uri: str, expected: Verdict) -> None:
    theirs = server()
    answer = client().answer(request(uri=signed), refusal(*theirs.challenges(0.0)))
    assert theirs.verify(request(answer or [], uri=request_uri), 0.0) is expected


def test_missing_or_for_others() -> None:
    assert server().verify(request(), 0.0) is Verdict.MISSING
    assert server().verify(request([("Authorization", 'Digest realm="other", nonce="x"')]), 0.0) is Verdict.MISSING
    assert server().verify(request([("Proxy-Authorization", 'Digest realm="tandem"')]), 0.0) is Verdict.MISSING


def test_an_unknown_user_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    original = Algorithm.hash

    def counted(algorithm: Algorithm, data: bytes) -> str:
        hashed.append(len(data))
        return original(algorithm, data)

    monkeypatch.setattr(Algorithm, "hash", counted)
    work = []
    for username in ("alice", "nobody"):
        theirs = server([Algorithm.SHA256])
        answer = client(Credentials(username, "guess")).answer(request(), refusal(*theirs.challenges(0.0)))
        hashed.clear()
        assert theirs.verify(request(answer or []), 0.0) is Verdict.WRONG
        work.append(len(hashed))
    assert work[0] == work[1] > 0


def good_credentials(theirs: DigestChallenger) -> str:
    return (client().answer(request(), refusal(*theirs.challenges(0.0))) or [])[0][1]


@pytest.mark.parametrize(
    "change",
    [
        ("algorithm=SHA-256", "algorithm=SHA-512-256"),
        ("algorithm=SHA-256", "algorithm=MD5"),
        ("qop=auth", "qop=auth-int"),
        ("nc=00000001", "nc=00000000"),
        ("nc=00000001", "nc=-1"),
        ("nc=00000001", "nc=000000001"),
        ('cnonce="cnonce1"', 'cnonce=""'),
        ('response="', 'response="é'),
        ('username="alice"', 'username="bob"'),
        ('username="alice", ', ""),
        ('realm="tandem", ', ""),
        ("Digest ", ""),
        ('"alice"', '"alice'),
    ],
)
def test_damaged_credentials_are_wrong(change: tuple[str, str]) -> None:
    theirs = server([Algorithm.SHA256])
    value = good_credentials(theirs)
    assert change[0] in value
    assert theirs.verify(request([("Authorization", value.replace(*change, 1))]), 0.0) is Verdict.WRONG
    assert theirs.verify(request([("Authorization", value)]), 0.0) is Verdict.OK


garbage = st.one_of(
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])),
    st.lists(
        st.sampled_from(
            [
                "Digest ",
                "Basic ",
                'realm="tandem"',
                'username="alice"',
                'nonce="00"',
                'uri="sip:a@b"',
                'response="0"',
                "qop=auth",
                'qop="auth"',
                "nc=1",
                "nc=ffffffff",
                'cnonce="\udcff"',
                "algorithm=MD5",
                "algorithm=x",
                "stale=true",
                "opaque=",
                "=",
                '"',
                ", ",
                ",",
                "<",
                ";",
            ]
        )
    ).map("".join),
)


@given(values=st.lists(garbage, max_size=3))
def test_garbage_never_raises(values: list[str]) -> None:
    theirs = server()
    fields = [("Authorization", value) for value in values]
    assert theirs.verify(request(fields), 0.0) in (Verdict.MISSING, Verdict.WRONG)
    challenges = [("WWW-Authenticate", value) for value in values]
    client().answer(request(fields), refusal(*challenges))


@given(at=st.integers(0, 400), octet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
def test_one_changed_character_never_raises(at: int, octet: str) -> None:
    theirs = server()
    value = good_credentials(theirs)
    at %= len(value)
    theirs.verify(request([("Authorization", value[:at] + octet + value[at + 1 :])]), 0.0)


def test_a_challenger_without_algorithm_or_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="no digest algorithm"):
        DigestChallenger("r", {}, [], b"s", 60.0)
    with pytest.raises(ValueError, match="secret"):
        DigestChallenger("r", {}, ALL, b"", 60.0)
