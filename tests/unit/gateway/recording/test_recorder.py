"""Recordings as calls make them: what is in the file, sample by sample, and what ends them."""

from __future__ import annotations

import errno
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.gateway.codecs.g711 import PCMU
from services.gateway.recording.meta import Pause
from services.gateway.recording.playback import Contents, NotExported, examine, export
from services.gateway.recording.recorder import MAX_SKIP, Recorder, RecordingImpossible
from services.gateway.recording.settings import RecordingSettings
from tests.unit.gateway.recording.shop import CALL, STARTED_US, Shop, record, settings, tick


def heard(shop: Shop, out: Path) -> tuple[Contents, NDArray[np.int16]]:
    """The one recording: its contents and (samples, channels)."""
    (path,) = (shop.settings.folder or Path()).glob("*/*.tdr")
    found = export(path, shop.settings.key_ring(), out)
    with wave.open(str(out), "rb") as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (2, 2, found.meta.sample_rate_hz)
        return found, np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)


def samples(pcm: bytes) -> NDArray[np.int16]:
    return np.frombuffer(pcm, "<i2")


@pytest.mark.parametrize("given", [{}, {"encryption": "off", "keys": []}])
@pytest.mark.parametrize("ticks", [0, 1, 49, 50, 51, 173])
def test_round_trip_is_exact(tmp_path: Path, ticks: int, given: dict[str, Any]) -> None:
    shop = Shop(tmp_path / "rec", **given)
    one = shop.begin(trunk="carrier", direction="outbound", consent="prompt", caller="+4930")
    for at in range(ticks):
        one.tick(tick(at), tick(at, -1))
    one.end("caller_hung_up")
    shop.run()
    found, sound = heard(shop, tmp_path / "out.wav")
    assert sound.shape == (ticks * 160, 2)
    assert (sound[:, 0] == samples(b"".join(tick(at) for at in range(ticks)))).all()
    assert (sound[:, 1] == samples(b"".join(tick(at, -1) for at in range(ticks)))).all()
    assert found.state == "complete"
    assert found.end is not None
    assert (found.end.reason, found.end.length_us) == ("caller_hung_up", ticks * 20_000)
    meta = found.meta
    assert (meta.call_id, meta.started_unix_us, meta.sample_rate_hz, meta.channels) == (CALL, STARTED_US, 8000, 2)
    assert (meta.trunk, meta.direction, meta.consent) == ("carrier", "outbound", "prompt")
    assert [(end.call_id, end.reason, end.complete) for end in shop.ends] == [(CALL, "caller_hung_up", True)]
    counts = shop.recorder.counts
    assert (counts.begun, counts.complete, counts.failed) == (1, 1, {})
    assert counts.bytes_written == next((tmp_path / "rec").glob("*/*.tdr")).stat().st_size


def test_wide_band(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec")
    one = shop.begin(sample_rate_hz=16000)
    one.tick(tick(3, samples=320), None)
    one.end()
    shop.run()
    _, sound = heard(shop, tmp_path / "out.wav")
    assert (sound[:, 0] == samples(tick(3, samples=320))).all()
    assert not sound[:, 1].any()


def test_every_sample_stands_where_the_clock_had_it(tmp_path: Path) -> None:
    """Silence, skips of every size and pauses: tick n begins at sample 160 n, on both channels."""
    shop = Shop(tmp_path / "rec")
    one = shop.begin(call_time_us=5_000_000)
    at, expected = 0, {}

    def ticks(count: int, caller: bool = True, agent: bool = True, kept: bool = True) -> None:
        nonlocal at
        for _ in range(count):
            one.tick(tick(at) if caller else None, tick(at, -1) if agent else None)
            expected[at] = (caller and kept, agent and kept)
            at += 1

    def skip(count: int) -> None:
        nonlocal at
        one.skip(count)
        at += count

    ticks(7)
    skip(1)
    ticks(3, agent=False)
    skip(0)
    skip(49)
    ticks(60, caller=False)
    skip(51)
    one.pause()
    one.pause()
    ticks(30, kept=False)
    skip(200)
    ticks(2, kept=False)
    one.resume()
    one.resume()
    ticks(101)
    one.pause()
    ticks(5, kept=False)
    one.end()
    shop.run()

    found, sound = heard(shop, tmp_path / "out.wav")
    assert sound.shape == (at * 160, 2)
    whole = sound.reshape(at, 160, 2)
    for number in range(at):
        caller, agent = expected.get(number, (False, False))
        assert (whole[number, :, 0] == (samples(tick(number)) if caller else 0)).all(), number
        assert (whole[number, :, 1] == (samples(tick(number, -1)) if agent else 0)).all(), number
    paused, resumed, again = (7 + 1 + 3 + 49 + 60 + 51), (171 + 232), (171 + 232 + 101)
    assert found.pauses == [
        Pause(5_000_000 + paused * 20_000, 5_000_000 + resumed * 20_000),
        Pause(5_000_000 + again * 20_000, None),
    ]
    assert found.end is not None
    assert found.end.pauses == 2


def test_ticks_of_a_wrong_length_do_not_shift_the_clock(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec")
    one = shop.begin()
    one.tick(tick(1)[:100], tick(1) + b"more")
    one.tick(b"", tick(2)[:-1])
    one.tick(tick(3), None)
    one.end()
    shop.run()
    _, sound = heard(shop, tmp_path / "out.wav")
    assert (sound[320:, 0] == samples(tick(3))).all()
    assert (sound[:160, 1] == samples(tick(1))).all()


def test_ulaw_is_half_as_large_and_what_the_line_had(tmp_path: Path) -> None:
    path = record(tmp_path / "rec", wav_encoding="ulaw")
    out = tmp_path / "out.wav"
    export(path, settings(tmp_path).key_ring(), out)
    wav = out.read_bytes()
    assert (wav[:4], int.from_bytes(wav[4:8], "little")) == (b"RIFF", len(wav) - 8)
    # format 7, two channels, 8000 Hz, 16000 bytes/s, two bytes a block, 8 bits
    assert wav[20:36] == bytes.fromhex("0700 0200 401f0000 803e0000 0200 0800")
    fact = wav.index(b"fact")
    assert int.from_bytes(wav[fact + 8 : fact + 12], "little") == 120 * 160
    data = wav.index(b"data")
    assert int.from_bytes(wav[data + 4 : data + 8], "little") == 2 * 120 * 160
    assert wav[data + 8 :: 2] == PCMU.encode(b"".join(tick(at) for at in range(120)))


def test_opus_has_the_length_and_the_tones(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    shop = Shop(tmp_path / "rec", format="opus")
    one = shop.begin()
    t = np.arange(160 * 250) / 8000
    tones = [(8000 * np.sin(2 * np.pi * hz * t)).astype("<i2") for hz in (440, 1000)]
    for at in range(250):
        here = slice(at * 160, (at + 1) * 160)
        one.tick(tones[0][here].tobytes(), tones[1][here].tobytes() if at >= 125 else None)
    one.end()
    shop.run()
    found, sound = heard(shop, tmp_path / "out.wav")
    assert found.length_us == 5_000_000
    assert sound.shape == (160 * 250, 2)
    assert abs(np.abs(sound[:, 0]).mean() / np.abs(tones[0]).mean() - 1) < 0.1
    first, second = sound[: 160 * 120, 1], sound[160 * 130 :, 1]
    assert np.abs(first).mean() < 0.02 * np.abs(second).mean()
    spectrum = np.abs(np.fft.rfft(second))
    assert abs(spectrum.argmax() * 8000 / len(second) - 1000) < 2
    # What the ear takes for late is 20 ms: the right channel begins when it began.
    loud = np.abs(sound[:, 1].astype(int)) > 1000
    assert abs(int(loud.argmax()) - 125 * 160) < 80
    (path,) = (tmp_path / "rec").glob("*/*.tdr")
    export(path, shop.settings.key_ring(), tmp_path / "raw.opus")
    assert (tmp_path / "raw.opus").read_bytes().startswith(b"OggS")


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_opus_that_was_cut_off_is_heard_up_to_there(tmp_path: Path, cut: int) -> None:
    pytest.importorskip("soundfile")
    path = record(tmp_path / "rec", 500, format="opus")
    keys = settings(tmp_path).key_ring()
    pieces = []
    whole = examine(path, keys, lambda meta, sound: pieces.append(len(sound)))
    assert whole.length_us == 10_000_000
    # END and the last pieces of sound go.
    path.write_bytes(path.read_bytes()[: -100 - sum(pieces[-cut:] if cut else [])])
    out = tmp_path / "out.wav"
    found = export(path, keys, out)
    assert found.state == "unfinished"
    with wave.open(str(out), "rb") as wav:
        # libsndfile leaves out a pre-skip of a few ms.
        assert abs(wav.getnframes() / 8000 - found.length_us / 1e6) < 0.1
        assert 5 < wav.getnframes() / 8000 < 10.01


def test_opus_without_a_tick(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    path = record(tmp_path / "rec", 0, format="opus")
    found = export(path, settings(tmp_path).key_ring(), tmp_path / "out.wav")
    assert (found.state, found.length_us) == ("complete", 0)


def test_nothing_in_names_and_files_tells_the_number(tmp_path: Path) -> None:
    path = record(tmp_path / "rec", caller="+49301234567", encryption="off", keys=[])
    assert "4567" not in str(path.relative_to(tmp_path))
    assert b"301234567" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("call_id", ["", "../x", "a/b", "a.b", "x" * 65, "a\0b"])
def test_call_ids_that_lead_elsewhere_are_refused(tmp_path: Path, call_id: str) -> None:
    with pytest.raises(ValueError, match="no call id"):
        Shop(tmp_path).begin(call_id)


def test_two_recordings_of_one_moment_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = record(tmp_path)
    before = path.read_bytes()
    shop = Shop(tmp_path)
    shop.begin().end()
    shop.run()
    assert [(end.reason, end.complete) for end in shop.ends] == [("disk_failed", False)]
    assert path.read_bytes() == before


class Disk:
    """os.write that fails after so many bytes."""

    def __init__(self, room: int, error: int) -> None:
        self.room, self.error = room, error

    def __call__(self, descriptor: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(self.error, os.strerror(self.error))
        written = os.write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize(
    ("error", "reason"),
    [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EIO, "disk_failed")],
)
def test_a_disk_that_fails_ends_that_recording_and_tells(tmp_path: Path, error: int, reason: str) -> None:
    shop = Shop(tmp_path / "rec", {"write": Disk(80_000, error)})
    one = shop.begin()
    for at in range(500):
        one.tick(tick(at), None)
    one.end()
    shop.run()
    assert [(end.call_id, end.reason, end.complete) for end in shop.ends] == [(CALL, reason, False)]
    assert shop.recorder.counts.failed == {reason: 1}
    assert one.ended
    one.tick(b"", b"")
    one.pause()
    one.end()
    # 80,000 bytes hold two seconds of 32,000: what is whole is kept, what is half written is cut off.
    found, sound = heard(shop, tmp_path / "out.wav")
    assert found.state == "unfinished"
    assert (sound[:, 0] == samples(b"".join(tick(at) for at in range(100)))).all()


@pytest.mark.parametrize("room", [70_000, 80_000])
def test_the_end_is_written_where_it_still_fits(tmp_path: Path, room: int) -> None:
    disk = Disk(room, errno.ENOSPC)
    shop = Shop(
        tmp_path / "rec",
        {"write": lambda descriptor, data: disk(descriptor, data) if len(data) > 999 else os.write(descriptor, data)},
    )
    one = shop.begin()
    one.pause()
    one.resume()
    for at in range(500):
        one.tick(tick(at), None)
    one.end()
    shop.run()
    found, sound = heard(shop, tmp_path / "out.wav")
    assert found.end is not None
    assert (found.state, found.problem, found.end.reason) == ("complete", "", "disk_full")
    assert (len(sound), found.end.length_us) == (16_000, 2_000_000)


def test_no_room_for_the_end_leaves_whole_records(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole", 100).stat().st_size
    shop = Shop(tmp_path / "rec", {"write": Disk(whole - 10, errno.ENOSPC)})
    one = shop.begin()
    for at in range(100):
        one.tick(tick(at), None)
    one.end()
    shop.run()
    assert [(end.reason, end.complete) for end in shop.ends] == [("disk_full", False)]
    found, sound = heard(shop, tmp_path / "out.wav")
    assert (found.state, len(sound)) == ("unfinished", 16_000)
    (path,) = (tmp_path / "rec").glob("*/*")
    assert path.stat().st_size < whole - 10


def test_a_disk_without_any_room_leaves_no_file(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec", {"write": Disk(0, errno.ENOSPC)})
    shop.begin().end()
    shop.run()
    assert [end.reason for end in shop.ends] == ["disk_full"]
    assert not list((tmp_path / "rec").glob("*/*"))


def test_a_folder_that_cannot_be_made_ends_the_recording(tmp_path: Path) -> None:
    (tmp_path / "rec").write_text("a file stands here")
    shop = Shop(tmp_path / "rec")
    shop.begin().end()
    shop.run()
    assert [end.reason for end in shop.ends] == ["disk_failed"]


def test_another_call_goes_on_when_one_ends(tmp_path: Path) -> None:
    disk = Disk(3_000, errno.ENOSPC)
    shop = Shop(tmp_path / "rec", {"write": disk})
    first, second = shop.begin("first"), shop.begin("second")
    for at in range(50):
        first.tick(tick(at), None)
    shop.recorder.hand(second, lambda tape: setattr(disk, "room", 10**9))
    for at in range(50):
        second.tick(tick(at), None)
    first.end()
    second.end()
    shop.run()
    assert {(end.call_id, end.reason) for end in shop.ends} == {("first", "disk_full"), ("second", "call_ended")}


def test_a_full_queue_ends_the_recording_without_waiting(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec", {"max_backlog": 3})
    one = shop.begin()
    for at in range(1000):
        one.tick(tick(at), None)
    assert one.ended
    assert shop.recorder.backlog == 4
    shop.run()
    assert [(end.reason, end.complete) for end in shop.ends] == [("overrun", False)]
    assert shop.recorder.backlog == 0
    found, sound = heard(shop, tmp_path / "out.wav")
    assert found.end is not None
    assert (found.end.reason, len(sound)) == ("overrun", 2 * 8000)


def test_a_clock_that_jumps_ends_the_recording(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec")
    one = shop.begin()
    one.tick(tick(1), None)
    one.skip(MAX_SKIP)
    one.skip(MAX_SKIP + 1)
    one.tick(tick(1), None)
    one.end()
    shop.run()
    assert [end.reason for end in shop.ends] == ["clock_jump"]
    found, _ = heard(shop, tmp_path / "out.wav")
    assert found.length_us == (MAX_SKIP + 1) * 20_000


def test_a_defect_of_ours_ends_one_recording_only(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec")
    bad, good = shop.begin("bad"), shop.begin("good")
    shop.recorder.hand(bad, lambda tape: 1 / 0)  # type: ignore[arg-type, return-value]
    good.end()
    shop.run()
    assert [(end.call_id, end.reason) for end in shop.ends] == [("bad", "failed"), ("good", "call_ended")]


def test_recordings_that_nobody_ended_are_whole_up_to_there(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec")
    one = shop.begin()
    for at in range(120):
        one.tick(tick(at), None)
    shop.run()
    assert [(end.reason, end.complete) for end in shop.ends] == [("stopped", False)]
    found, sound = heard(shop, tmp_path / "out.wav")
    assert (found.state, len(sound)) == ("complete", 100 * 160)


def test_a_loop_that_has_closed_does_not_matter(tmp_path: Path) -> None:
    def closed(told: object) -> None:
        raise RuntimeError("Event loop is closed")

    recorder = Recorder(settings(tmp_path), closed)
    recorder.begin(Shop(tmp_path).begin().about).end()
    recorder.start()
    assert recorder.close(20)
    assert recorder.counts.complete == 1


def test_settings_that_lack_something_record_nothing_and_still_erase(tmp_path: Path) -> None:
    with pytest.raises(RecordingImpossible, match=r"gateway\.recording\.folder"):
        Recorder(RecordingSettings(), list[object]().append)
    shop = Shop(tmp_path, mode="off", keys=[])
    with pytest.raises(RecordingImpossible, match=r"gateway\.recording\.keys: recordings want a key"):
        shop.begin()
    shop.run()


def test_export_overwrites_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path, keys = record(tmp_path / "rec"), settings(tmp_path).key_ring()
    out = tmp_path / "out.wav"
    out.write_text("mine")
    with pytest.raises(NotExported, match="is there already"):
        export(path, keys, out)
    assert out.read_text() == "mine"
    for name, said in (("out.opus", "it was kept as WAV"), ("out.mp3", "expected a name")):
        with pytest.raises(NotExported, match=said):
            export(path, keys, tmp_path / name)
        assert not (tmp_path / name).exists()


def test_examine_of_a_whole_one(tmp_path: Path) -> None:
    found = examine(record(tmp_path), settings(tmp_path).key_ring())
    assert (found.state, found.problem, found.length_us, found.encrypted) == ("complete", "", 2_400_000, True)
