"""A caller speaks when the agent has spoken and fallen silent, interrupts when told to, and has its patience."""

from pathlib import Path

import pytest

from evals.caller.dialogue import Dialogue, HangUp, Script, ScriptError, Turn, load
from evals.caller.ear import Ear, Speech
from evals.caller.transferee import TransferPlan


def ear(*speech: tuple[float, float], speaking: bool = False) -> Ear:
    heard = Ear()
    heard.speech = [Speech(*one) for one in speech]
    heard.speaking = speaking
    return heard


def dialogue(*turns: Turn, done_at: float | None = None) -> Dialogue:
    """A dialogue; with `done_at`, the first turn has been said and ended then."""
    one = Dialogue(Script("test", turns, linger_s=6))
    if done_at is not None:
        one.step(1, ear((0, 0.5)) if turns[0].gap_ms is None else ear())
        one.ended(done_at)
    return one


A, B = Turn(say="a", wait_silence_ms=0), Turn(say="b")

BEFORE_THE_FIRST = [
    ("nothing heard yet", 500, ear(), None),
    ("the agent speaks", 500, ear((100, 500), speaking=True), None),
    ("699 ms of silence", 1199, ear((100, 500)), None),
    ("700 ms of silence", 1200, ear((100, 500)), B),
    ("patience with silence", 11_999, ear(), None),
    ("patience is over", 12_000, ear(), HangUp("impatient", "turn 1: heard nothing for 12 s")),
    ("a long speech is no silence", 30_000, ear((100, 30_000), speaking=True), None),
]


@pytest.mark.parametrize(
    ("now", "heard", "act"), [o[1:] for o in BEFORE_THE_FIRST], ids=[o[0] for o in BEFORE_THE_FIRST]
)
def test_the_first_turn(now: float, heard: Ear, act: object) -> None:
    assert dialogue(B).step(now, heard) == act


AFTER_OWN_WORDS = [
    ("the agent spoke before them only", 3000, ear((0, 500)), B, None),
    ("the agent answers", 4000, ear((0, 500), (2500, 3200)), B, B),
    ("the agent cut in before their end, no more", 4000, ear((0, 500), (1500, 1900)), B, None),
    ("the agent's words outlast them", 3000, ear((0, 500), (1500, 2200)), B, B),
    ("interrupting, too early", 2900, ear((2200, 2900), speaking=True), Turn(say="b", interrupt_after_ms=800), None),
    ("interrupting, in time", 3000, ear((2200, 3000), speaking=True), Turn(say="b", interrupt_after_ms=800), ...),
    ("interrupting, in a pause", 3000, ear((2200, 2700)), Turn(say="b", interrupt_after_ms=800), None),
    ("the agent said less than that", 3500, ear((2200, 2700)), Turn(say="b", interrupt_after_ms=800), ...),
    ("after a gap, too early", 2400, ear(), Turn(say="b", gap_ms=500), None),
    ("after a gap, whatever the agent does", 2500, ear((2100, 2500), speaking=True), Turn(say="b", gap_ms=500), ...),
    ("patience counts from the last words", 13_999, ear((0, 500)), B, None),
    ("and is over then", 14_000, ear((0, 500)), B, HangUp("impatient", "turn 2: heard nothing for 12 s")),
]


@pytest.mark.parametrize(
    ("now", "heard", "turn", "act"), [o[1:] for o in AFTER_OWN_WORDS], ids=[o[0] for o in AFTER_OWN_WORDS]
)
def test_the_turn_after_own_words_that_ended_at_2000(now: float, heard: Ear, turn: Turn, act: object) -> None:
    assert dialogue(A, turn, done_at=2000).step(now, heard) == (turn if act is ... else act)


def test_a_turn_is_given_once_and_the_next_after_it_ended() -> None:
    talk = dialogue(A, B)
    heard = ear((0, 0.5))
    assert talk.step(1, heard) == A
    assert talk.step(5000, heard) is None
    talk.ended(6000)
    assert talk.step(6100, heard) is None
    assert talk.done == 1


def test_silence_is_kept_and_then_the_next_turn_is_due() -> None:
    talk = dialogue(A, Turn(silence_s=3), B, done_at=2000)
    heard = ear((2500, 3000))
    assert talk.step(3700, heard) is None  # the silence begins here
    assert talk.step(6699, heard) is None
    assert talk.step(6700, heard) == B


def test_after_a_transfer_waits_for_its_end_and_for_the_agent_to_come_back() -> None:
    talk = dialogue(A, Turn(say="b", after="refer"), done_at=2000)
    put_through = ear((2200, 3000))
    assert talk.step(4000, put_through) is None
    assert talk.step(30_000, put_through, None, refer_pending=True) is None
    assert talk.step(30_000, put_through, 29_500) is None
    assert talk.step(32_000, ear((2200, 3000), (30_000, 31_000)), 29_500) is not None


def test_when_all_is_said_the_caller_lingers_and_hangs_up() -> None:
    talk = dialogue(A, done_at=2000)
    assert talk.step(7999, ear()) is None
    assert talk.step(8500, ear((2500, 3000))) is None
    assert talk.step(9000, ear((2500, 3000)), refer_pending=True) is None
    assert talk.step(9000, ear((2500, 3000))) == HangUp("completed", "all said, and 6 s of silence")


def test_hang_up_is_a_turn() -> None:
    talk = dialogue(Turn(hang_up=True))
    assert talk.step(1200, ear((100, 500))) == HangUp("completed", "the script says so")


def test_a_whole_script(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(
        "about: x\nvoice: bf_emma\npatience_s: 5\ntransfer: {respond: 202, notify: [100, 486], every_ms: 100}\n"
        "turns:\n- say: hours\n- dtmf: '12#'\n  wait_silence_ms: 100\n- silence_s: 2\n- hang_up: true\n"
    )
    assert load(path) == Script(
        "one",
        (
            Turn(say="hours", patience_s=5),
            Turn(dtmf="12#", patience_s=5, wait_silence_ms=100),
            Turn(silence_s=2, patience_s=5),
            Turn(hang_up=True, patience_s=5),
        ),
        voice="bf_emma",
        transfer=TransferPlan(202, (100, 486), 100),
    )


MISTAKES = [
    ("turns", "turns: expected a list"),
    ("turns: []", "turns: expected a list"),
    ("turns: {}", ".turns: {}, expected list"),
    ("trns: []", "unknown key 'trns'"),
    ("turns: [x]", "turns[0]: 'x', expected a mapping"),
    ("turns: [{say: a, dtmf: '1'}]", "turns[0]: has ['say', 'dtmf'], expected one of"),
    ("turns: [{patience_s: 1}]", "turns[0]: has nothing to do, expected one of"),
    ("turns: [{say: yes}]", "turns[0].say: True, expected str"),
    ("turns: [{dtmf: 'x'}]", "turns[0].dtmf: 'x', expected keys"),
    ("turns: [{say: a, after: lunch}]", "turns[0].after: 'lunch', expected agent or refer"),
    ("turns: [{say: a, gap_ms: true}]", "turns[0].gap_ms: True, expected int or float"),
    ("{turns: [{say: a}], transfer: {notify: [20]}}", "expected SIP statuses"),
    ("turns: [", "not YAML"),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES)
def test_a_mistake_names_its_place(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("{}" if text == "turns" else text)
    with pytest.raises(ScriptError, match=r"bad\.yaml") as mistake:
        load(path)
    assert says in str(mistake.value)
