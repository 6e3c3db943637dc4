"""The simulated caller measures what is there: real UDP on loopback, a far end with known delays."""

import json
import signal
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Start = Callable[..., Any]


def finish(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, err = process.communicate(timeout=40)
    return process.returncode, json.loads(out) if out else {}, err


@pytest.mark.parametrize("delay_ms", [300, 657])
def test_latency_at_the_ear_is_the_delay_that_was_there(peer: Start, caller: Start, delay_ms: float) -> None:
    far = peer(delay_ms=delay_ms)
    code, told, err = finish(caller(far.target, {"turns": [{"say": "beep"}] * 3}))
    assert code == 0, err
    assert far.made_ms == pytest.approx([delay_ms] * 3, abs=40)
    # The peer counts from the packet, the ear from the mouth: the packet took 20 ms to fill.
    assert [turn["ear_latency_ms"] for turn in told["turns"]] == pytest.approx([ms + 20 for ms in far.made_ms], abs=5)
    assert [turn["said_to_ms"] - turn["said_from_ms"] for turn in told["turns"]] == pytest.approx([503] * 3, abs=20)
    assert [turn["heard_to_ms"] - turn["heard_from_ms"] for turn in told["turns"]] == pytest.approx([600] * 3, abs=20)
    assert told["greeting_heard_ms"] == pytest.approx(300, abs=60)
    assert told["sip"]["answered"]
    assert told["rtp"]["lost"] == 0
    assert told["ended_by"] == "caller"
    assert far.seen[:2] == ["INVITE", "ACK"]
    assert far.seen[-1] == "BYE"


def test_the_record_lies_on_the_clock_of_the_report(peer: Start, caller: Start, tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    code, told, err = finish(caller(peer().target, {"turns": [{"say": "beep"}]}, "--record", str(path)))
    assert code == 0, err
    with wave.open(str(path)) as record:
        assert (record.getnchannels(), record.getframerate()) == (2, 8000)
        tracks = np.frombuffer(record.readframes(record.getnframes()), "<i2").reshape(-1, 2)
    left, right = (np.flatnonzero(np.abs(tracks[:, side]) > 4000) / 8 for side in (0, 1))
    turn = told["turns"][0]
    assert [left[0], left[-1]] == pytest.approx([turn["said_from_ms"], turn["said_to_ms"]], abs=20)
    assert right[0] == pytest.approx(told["greeting_heard_ms"], abs=20)
    assert right[right > left[-1]][0] == pytest.approx(turn["heard_from_ms"], abs=20)  # joined over jitter


def test_keys_arrive_once_each_and_a_barge_in_is_timed(peer: Start, caller: Start) -> None:
    far = peer(greeting_ms=3000)
    turns = [{"say": "beep", "interrupt_after_ms": 800}, {"dtmf": "12#"}]
    code, told, err = finish(caller(far.target, {"turns": turns}))
    assert code == 0, err
    assert far.keys == [1, 2, 11]
    spoken, keys = told["turns"]
    # 800 ms after the agent began, to the next 20 ms frame, then 125 ms of silence at the head of the recording
    assert spoken["said_from_ms"] - told["greeting_heard_ms"] == pytest.approx(925, abs=60)
    assert spoken["interrupted"]["agent_stopped_ms"] - told["greeting_heard_ms"] == pytest.approx(3000, abs=60)
    assert keys["dtmf"] == "12#"


@pytest.mark.parametrize(
    ("notify", "last"), [([100, 180, 200], "SIP/2.0 200 OK"), ([100, 486], "SIP/2.0 486 Busy Here")]
)
def test_a_transfer_is_reported_as_the_script_says(peer: Start, caller: Start, notify: list[int], last: str) -> None:
    far = peer(refer_after=1)
    script = {"turns": [{"say": "beep"}], "transfer": {"notify": notify, "every_ms": 200}}
    code, told, err = finish(caller(far.target, script))
    assert code == 0, err
    assert [one["notified"] for one in told["refers"]] == [notify]
    assert told["refers"][0]["refer_to"] == "sip:person@127.0.0.1:5099"
    assert far.sipfrags[0] == "SIP/2.0 100 Trying"
    assert far.sipfrags[-1] == last
    assert "202 REFER" in far.seen


def test_the_agent_hangs_up(peer: Start, caller: Start) -> None:
    code, told, _ = finish(caller(peer(bye_after=1).target, {"turns": [{"say": "beep"}]}))
    assert (code, told["ended_by"], told["outcome"]) == (0, "agent", "completed")
    code, told, _ = finish(caller(peer(bye_after=1).target, {"turns": [{"say": "beep"}] * 2}))
    assert (code, told["ended_by"], told["outcome"]) == (1, "agent", "ended_early")


def test_a_refusal_is_acknowledged_and_told(peer: Start, caller: Start) -> None:
    far = peer(refuse=486)
    code, told, _ = finish(caller(far.target, {"turns": [{"say": "beep"}]}))
    assert (code, told["outcome"], told["sip"]["status"]) == (1, "unanswered", 486)
    assert far.seen == ["INVITE", "ACK"]


def test_lost_datagrams_are_sent_again(peer: Start, caller: Start) -> None:
    far = peer(drop=2)
    code, told, err = finish(caller(far.target, {"turns": [{"say": "beep"}]}))
    assert code == 0, err
    assert told["sip"]["invite_200_ms"] == pytest.approx(1500, abs=100)  # T1 + 2·T1


def test_hold_is_answered_and_the_call_goes_on(peer: Start, caller: Start) -> None:
    far = peer(hold_after=1)
    code, _, err = finish(caller(far.target, {"turns": [{"say": "beep"}]}))
    assert code == 0, err
    assert "200 INVITE" in far.seen


def test_silence_from_the_agent_ends_the_callers_patience(peer: Start, caller: Start) -> None:
    code, told, _ = finish(caller(peer(greeting_ms=0).target, {"patience_s": 1, "turns": [{"say": "beep"}]}))
    assert (code, told["outcome"], told["turns"]) == (1, "impatient", [])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_call_with_bye(peer: Start, caller: Start, name: str) -> None:
    far = peer(delay_ms=5000)
    process = caller(far.target, {"turns": [{"say": "beep"}] * 9})
    assert process.stderr is not None
    while "caller: Beep." not in process.stderr.readline():
        pass
    process.send_signal(getattr(signal, name))
    code, told, _ = finish(process)
    assert (code, told["outcome"], told["ended_by"]) == (1, "stopped", "caller")
    assert far.seen[-1] == "BYE"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ({"turns": []}, "turns: expected a list"),
        ({"turns": [{"sai": "beep"}]}, "turns[0]: unknown key 'sai'"),
        ({"turns": [{"say": "nothing"}]}, "phrase 'nothing': not in"),
        ({"turns": [{"say": "beep"}], "voice": "nobody"}, "voice 'nobody': not in"),
    ],
)
def test_a_mistake_in_the_script_is_one_line_and_exit_code_2(caller: Start, script: object, says: str) -> None:
    code, told, err = finish(caller("sip:x@127.0.0.1:9", script))
    assert (code, told) == (2, {})
    assert says in err
    assert len(err.splitlines()) == 1
