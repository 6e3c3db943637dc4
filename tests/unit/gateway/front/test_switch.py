"""Who is heard at the front."""

from __future__ import annotations

from typing import Any

from services.gateway.access import Trunks
from services.gateway.front.dispatcher import Dispatcher, WorkerState
from services.gateway.front.switch import Switch
from services.gateway.settings import GatewaySettings
from services.gateway.sip.transport import Flow, Transport


class Worker:
    """Takes what it is sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.pipe = self

    def send(self, frame: bytes) -> bool:
        self.frames.append(frame)
        return True


class Wire:
    def start(self, on_message: Any, on_unsent: Any) -> None:
        self.on_message = on_message


def test_a_flood_from_forged_sources_keeps_no_trunk_from_being_heard(monkeypatch) -> None:
    monkeypatch.setattr("services.gateway.front.switch.time.monotonic", lambda: 10.0)
    settings = GatewaySettings.model_validate(
        {"strangers": "refuse", "max_messages_per_source_s": 5, "trunks": [{"name": "a", "allow": ["192.0.2.0/24"]}]}
    )
    dispatcher, wire, worker = Dispatcher(1), Wire(), Worker()
    dispatcher.set_state(0, WorkerState.READY)
    Switch(settings, wire, Trunks(settings), dispatcher, {0: worker}).start()  # type: ignore[arg-type,dict-item]
    for index in range(5000):
        wire.on_message(b"x", Flow(Transport.UDP, (f"198.18.{index // 256}.{index % 256}", 5060)))
    worker.frames.clear()
    for _ in range(6):
        wire.on_message(b"OPTIONS sip:x SIP/2.0\r\n\r\n", Flow(Transport.UDP, ("192.0.2.1", 5060)))
    assert len(worker.frames) == 5
