"""The fuzzers of `tests/fuzz`, with modest numbers; `make fuzz-sip` runs the large ones."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings

from services.gateway.sip.message import Request, SipParseError, parse
from tests.fuzz.corpus import ACK, INVITE, seeds
from tests.fuzz.grammar import Drawn, messages
from tests.fuzz.mutation import LARGEST, mutate
from tests.fuzz.readers import read_everything
from tests.fuzz.torture import octets


@settings(max_examples=200, deadline=None)
@given(drawn=messages())
def test_what_follows_the_grammar_is_understood(drawn: Drawn) -> None:
    message = parse(drawn.data)
    assert isinstance(message, Request)
    assert (message.method, message.uri, message.call_id) == (drawn.method, drawn.uri, drawn.call_id)
    assert (message.from_.tag, message.to.tag, message.cseq.number) == (drawn.from_tag, None, drawn.cseq)
    assert (len(message.vias), message.body) == (drawn.vias, drawn.body)
    again = parse(message.encode())
    assert [*again.headers.without("Content-Length")] == [*message.headers.without("Content-Length")]
    message.mark_received("203.0.113.1", 5062)
    marked = parse(message.encode())
    assert marked.via == message.via
    assert marked.vias[1:] == message.vias[1:]


def test_the_seeds_that_are_no_torture_are_understood() -> None:
    for data in (INVITE, ACK, *seeds()[61:]):
        parse(data.replace(b"@TAG@", b"ours"))


def test_mutations_are_reproducible_and_bounded() -> None:
    everything = seeds()
    for number in range(200):
        random, again = Random(number), Random(number)
        data = everything[number % len(everything)]
        mutated = mutate(data, random, everything)
        assert mutated == mutate(data, again, everything)
        assert len(mutated) <= LARGEST


def test_mutated_messages_are_read_or_refused() -> None:
    random = Random(1)
    everything = seeds()
    outcomes = set()
    for _ in range(1500):
        data = mutate(random.choice(everything), random, everything)
        try:
            parse(data).encode()
        except SipParseError as error:
            outcomes.add(error.status)
        else:
            outcomes.add(200)
        read_everything(data, random)
    assert outcomes >= {200, 400, 505}


def test_the_mark_up_of_the_torture_messages() -> None:
    text = b"a\n<allOneLine>\nb<repeat count=3>xy</repeat>\n c\n</allOneLine>\n<hex>0A0D\n20</hex>z\n"
    assert octets(text) == b"a\r\nbxyxyxy c\r\n\x0a\x0d\x20z\r\n"
