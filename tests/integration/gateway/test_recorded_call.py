"""A recorded call: told, kept, sealed, and silent where it is secret."""

import asyncio
import base64
import wave

import numpy as np
import pytest
from typer.testing import CliRunner

from services.gateway.recordings import prompt
from tandem.cli import app
from tandem.v1 import brain_pb2 as pb


async def test_a_recorded_call(gateway, brain, sounds, speak, tmp_path) -> None:
    """Left the caller at 440 Hz, right what the caller hears: first the prompt at 300 Hz, then the agent at 700 Hz."""
    ask = tmp_path / "ask.wav"
    with wave.open(str(ask), "wb") as wav:
        wav.setparams((1, 2, 8000, 0, "NONE", ""))
        wav.writeframes(sounds.tone(300, 400))
    folder, key = tmp_path / "kept", tmp_path / "key"
    key.write_text(base64.b64encode(bytes(32)).decode())
    recording = {
        "mode": "all",
        "folder": str(folder),
        "consent": "prompt",
        "consent_prompt": str(ask),
        "keys": [{"id": "k", "key": f"file:{key}"}],
    }
    running = await gateway(recording=recording)
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    talk = await brain.conversation()
    speaking = asyncio.create_task(phone.say(sounds.tone(440, 3000)))
    await speak(talk.facts.call_id, 1, sounds.tone(700, 600))
    talk.command(play=pb.Play(utterance_id=1))
    await talk.wait_for("playout_finished")
    assert len(talk.of("playout_finished")) == 1, "the brain hears nothing of the prompt"
    talk.command(pause_recording=pb.PauseRecording(paused=True))
    await asyncio.sleep(0.5)
    talk.command(pause_recording=pb.PauseRecording(paused=False))
    await speaking
    await phone.bye()
    (kept,) = await _kept(folder)
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"gateway:\n  recording:\n    folder: {folder}\n    keys: [{{id: k, key: 'file:{key}'}}]\n")
    out = tmp_path / "out.wav"
    ran = await asyncio.to_thread(
        CliRunner().invoke, app, ["recordings", "export", str(kept), str(out), "--settings", str(settings)]
    )
    assert ran.exit_code == 0, ran.output
    with wave.open(str(out), "rb") as wav:
        assert (wav.getnchannels(), wav.getframerate()) == (2, 8000)
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    caller, agent = pcm[:, 0], pcm[:, 1]
    assert sounds.pitch(caller[4000:8000].tobytes()) == pytest.approx(440, abs=3)
    assert sounds.pitch(agent[400:2800].tobytes()) == pytest.approx(300, abs=8)
    assert sounds.pitch(agent[4800:7200].tobytes()) == pytest.approx(700, abs=8)
    silent = "".join("x" if pcm[160 * at : 160 * at + 160].any() else "." for at in range(len(pcm) // 160))
    # The machine may have missed slots elsewhere.
    secret = max(silent[20:].rstrip(".").split("x"), key=len)
    assert 22 <= len(secret) <= 30, "half a second is silence in both channels"


async def _kept(folder):
    async with asyncio.timeout(5):
        while True:
            found = list(folder.rglob("*.tdr")) if folder.exists() else []
            if found:
                await asyncio.sleep(0.5)
                return found
            await asyncio.sleep(0.05)


def test_prompts(tmp_path, sounds) -> None:
    ask = tmp_path / "ask.wav"
    with wave.open(str(ask), "wb") as wav:
        wav.setparams((1, 2, 16000, 0, "NONE", ""))
        wav.writeframes(bytes(2 * 16000))
    assert [len(prompt(ask, rate)) for rate in (8000, 16000)] == [50, 50]
