"""How patient the turn machine is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnProfile:
    """The machine's patience, in milliseconds of call time."""

    # Speech this long over the agent is an interruption whatever was said; backchannels and coughs are shorter, also
    # with the 0.3 s of silence after them that asr needs to tell. The agent is paused meanwhile.
    barge_in_after_ms: int = 1200
    # Whisper makes words of a hummed "mm-hm" with 0.25 to 0.36, of clear words of a caller with 0.44 and more.
    interruption_confidence: float = 0.4
    # A transcript normally takes 0.3 s; a caller waits no longer than this for one that does not come.
    final_overdue_ms: int = 3000
    # Past this, after the decision, the gap is felt as dead air; answers of the default model come well before.
    filler_after_ms: int = 900
    filler_again_ms: int = 6000
    reply_overdue_ms: int = 15000
    silence_prompt_ms: int = 8000
    silence_prompts: int = 2
    # After a transfer went through the caller's side ends the call within a second.
    left_behind_ms: int = 5000
    digits_ms: int = 2500
    # Wordless sound shorter than this is a cough or a click, and not worth a "sorry, I missed that".
    missed_speech_ms: int = 400
    # "Yes" over the last words of a question is its answer, not a backchannel.
    late_answer_ms: int = 2000
