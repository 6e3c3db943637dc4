"""The small pure parts of bench/mediaload: speech and marks, the search, the slope, NATS's wire, the agents' voices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.mediaload import natswire, speech
from bench.mediaload.choir import LEAD_FRAMES, UTTERANCE_FRAMES, Choir
from bench.mediaload.natswire import Reader, WireInvalid
from bench.mediaload.search import Search
from bench.mediaload.slope import slope
from services.common.media.frame import END_OF_UTTERANCE, AudioFrame

# Speech


def test_marks_tell_frames_apart_and_survive_g711() -> None:
    from evals.caller import g711

    rows = speech.payloads(300)
    assert speech.marks(rows[:, :3]).tolist() == list(range(300))
    there_and_back = g711.encode(speech.pcm(rows).reshape(-1).view(np.int16), g711.PCMU)
    again = np.frombuffer(there_and_back, np.uint8).reshape(300, speech.FRAME)
    assert speech.marks(again[:, :3]).tolist() == list(range(300))


@pytest.mark.parametrize("silence", [0xFF, 0x7F, 0xD5, 0x00])
def test_silence_has_no_mark(silence: int) -> None:
    assert speech.marks(np.full((1, 3), silence, np.uint8)).tolist() == [speech.UNMARKED]


def test_speech_is_heard() -> None:
    samples = speech.pcm(speech.payloads(150)).reshape(-1).view(np.int16).astype(float)
    assert (samples**2).mean() ** 0.5 > 300


@pytest.mark.parametrize("frames", [0, 4097])
def test_a_loop_that_marks_cannot_number_is_refused(frames: int) -> None:
    with pytest.raises(ValueError, match="4096"):
        speech.payloads(frames)


# Search


def found(limit: int, levels: list[int], fine: int = 15) -> tuple[int, int]:
    search, tries = Search(levels, fine), 0
    while (calls := search.next()) is not None:
        tries += 1
        assert tries < 100
        search.tried(calls, calls <= limit)
    return search.held, tries


@given(st.integers(0, 1200), st.integers(1, 40))
def test_the_search_ends_at_the_limit(limit: int, fine: int) -> None:
    held, _ = found(limit, [10, *range(50, 1001, 50)], fine)
    assert held <= limit
    assert limit - held < max(fine, 1) or held == 1000 or limit < 10


def test_one_miss_is_no_miss() -> None:
    search = Search([10, 50, 100])
    outcomes = {10: [True], 50: [False, True], 100: [True]}
    while (calls := search.next()) is not None:
        search.tried(calls, outcomes[calls].pop(0))
    assert (search.held, search.missed) == (100, None)


def test_nothing_holds() -> None:
    assert found(0, [10, 50])[0] == 0


# Slope


def test_a_line_is_found() -> None:
    at = [n / 6 for n in range(60)]
    told = slope(at, [100_000 + 250 * one for one in at])
    assert told.per_minute == pytest.approx(250)
    assert told.spread == pytest.approx(0, abs=1e-6)
    assert not told.flat


def test_noise_is_flat_and_a_leak_in_it_is_not() -> None:
    rng = np.random.default_rng(1)
    at = np.arange(144) / 6
    noise = rng.normal(0, 400, len(at))
    assert slope(at, 100_000 + noise).flat
    assert not slope(at, 100_000 + noise + 200 * at).flat


def test_what_wanders_is_trusted_less() -> None:
    rng = np.random.default_rng(2)
    at = np.arange(144) / 6
    alone = rng.normal(0, 100, len(at))
    wanders = np.convolve(rng.normal(0, 100, len(at) + 19), np.ones(20) / 20**0.5, "valid")
    assert slope(at, 1e5 + wanders).spread > 2 * slope(at, 1e5 + alone).spread


def test_a_slope_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        slope([1, 2, 3], [1, 2, 3])


# NATS


def message(subject: str, payload: bytes) -> bytes:
    return f"MSG {subject} 1 {len(payload)}\r\n".encode() + payload + b"\r\n"


@given(
    st.lists(
        st.one_of(st.tuples(st.sampled_from(["a.b", "tandem.audio.x.caller"]), st.binary(max_size=40)), st.none()),
        max_size=8,
    ),
    st.integers(1, 30),
)
def test_messages_come_out_whole_however_they_are_cut(said: list[tuple[str, bytes] | None], cut: int) -> None:
    stream = b"INFO {}\r\n" + b"".join(b"PING\r\n" if one is None else message(*one) for one in said)
    reader = Reader()
    heard = []
    for at in range(0, len(stream), cut):
        heard += [(subject.decode(), bytes(payload)) for subject, payload in reader.feed(stream[at : at + cut])]
    assert heard == [one for one in said if one is not None]
    assert reader.pings == said.count(None)


def test_an_error_of_the_server_is_told() -> None:
    with pytest.raises(WireInvalid, match="Slow Consumer"):
        list(Reader().feed(b"-ERR 'Slow Consumer'\r\n"))


def test_a_head_is_filled_with_blanks() -> None:
    head = natswire.publish_head("a.b", 340, 40)
    assert len(head) == 40
    assert head.split() == [b"PUB", b"a.b", b"340"]
    assert head.endswith(b" 340\r\n")
    with pytest.raises(ValueError, match="does not fit"):
        natswire.publish_head("a" * 40, 340, 40)


# The agents' voices


def frames(data: bytes) -> list[tuple[str, AudioFrame]]:
    # What the server makes of PUB is a MSG with the same words, but for the subscription's number.
    told = []
    while data:
        line, _, rest = data.partition(b"\r\n")
        _, subject, size = line.split()
        told.append((subject.decode(), AudioFrame.unpack(rest[: int(size)])))
        assert rest[int(size) : int(size) + 2] == b"\r\n"
        data = rest[int(size) + 2 :]
    return told


def test_a_voice_is_ahead_by_its_lead_and_goes_on_with_time() -> None:
    rows = speech.pcm(speech.payloads(50))
    choir = Choir(rows)
    choir.add("one", "tandem.audio.one.agent", 1_000_000)
    data, count = choir.sing(1_000_000)
    assert count == LEAD_FRAMES
    heard = frames(data)
    assert [frame.sequence for _, frame in heard] == list(range(LEAD_FRAMES))
    assert heard[3] == ("tandem.audio.one.agent", AudioFrame(3, 0, 8000, rows[3].tobytes(), 1, 0))
    assert choir.sing(1_010_000) == (b"", 0)
    assert choir.sing(1_021_000)[1] == 1


def test_utterances_follow_one_another() -> None:
    choir = Choir(speech.pcm(speech.payloads(50)))
    choir.add("one", "s", 0)
    heard = []
    for now_us in range(0, 20_000 * (2 * UTTERANCE_FRAMES), 20_000):
        heard += [frame for _, frame in frames(choir.sing(now_us)[0])]
    ends = [index for index, frame in enumerate(heard) if frame.flags == END_OF_UTTERANCE]
    assert ends[:2] == [UTTERANCE_FRAMES - 1, 2 * UTTERANCE_FRAMES - 1]
    after = heard[UTTERANCE_FRAMES]
    assert (after.utterance_id, after.sequence) == (2, 0)


def test_calls_come_and_go() -> None:
    choir = Choir(speech.pcm(speech.payloads(50)))
    for at, call in enumerate(("a", "b", "c")):
        choir.add(call, f"to.{call}", 20_000 * at)
    choir.sing(40_000)
    choir.remove("a")
    choir.remove("nobody")
    heard = frames(choir.sing(60_000)[0])
    assert {subject: frame.sequence for subject, frame in heard} == {
        "to.c": LEAD_FRAMES,
        "to.b": LEAD_FRAMES + 1,
    }


def test_what_was_missed_is_made_up_and_told() -> None:
    choir = Choir(speech.pcm(speech.payloads(50)))
    choir.add("one", "s", 0)
    choir.sing(0)
    assert choir.sing(100_000)[1] == 5
    assert choir.behind_frames == 4
