"""The edge in C, compiled by cffi into a folder of the run's own. Python touches whole phases, by numpy."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.mediaedges.echocall import FRAME
from bench.mediaedges.edges import Work
from bench.mediaedges.phases import PHASES, Phases
from services.gateway.codecs.g711 import PCMU

_SOURCE = Path(__file__).with_name("edge.c")
_NAME = "_bench_media_edge"
_INTERFACE = """
typedef struct edge edge_t;
edge_t *edge_new(int most, const int16_t *decoded, const uint8_t *encoded);
int edge_add(edge_t *edge, int descriptor, uint32_t ssrc);
int edge_receive(edge_t *edge, int most, int32_t *which, uint16_t *sequence, uint32_t *timestamp, int16_t *pcm);
int edge_send(edge_t *edge, int first, int count, int slots, const int16_t *pcm);
void edge_free(edge_t *edge);
"""


class NotBuilt(Exception):
    """There is no C edge on this machine; the message says why."""


def build(folder: Path) -> Path:
    """Compiles; the module's file. Raises NotBuilt."""
    try:
        from cffi import FFI, VerificationError  # type: ignore[import-untyped]
    except ImportError:
        raise NotBuilt("cffi is not installed") from None
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        raise NotBuilt("no C compiler (cc): install one to measure the C edge")
    builder = FFI()
    builder.cdef(_INTERFACE)
    builder.set_source(_NAME, _SOURCE.read_text(), extra_compile_args=["-O2"])
    try:
        return Path(builder.compile(tmpdir=str(folder)))
    except VerificationError as error:
        raise NotBuilt(f"{_SOURCE.name} does not compile here: {error}") from error


def load(file: Path) -> Any:
    """What `build` made."""
    spec = importlib.util.spec_from_file_location(_NAME, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module


class NativeEdge:
    """Sockets are emptied when a phase is due, each 5 ms; a phase's packets leave in one call of C."""

    def __init__(self, count: int, work: Work, file: Path) -> None:
        module = load(file)
        self._ffi, self._lib = module.ffi, module.lib
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        decoded = np.frombuffer(PCMU.decode(bytes(range(256))), "<i2")
        encoded = np.frombuffer(PCMU.encode(np.arange(65536, dtype="<u2").tobytes()), np.uint8)
        self._edge = self._lib.edge_new(
            max(count, 1), self._pointer("int16_t *", decoded), self._pointer("uint8_t *", encoded)
        )
        for number, here in enumerate(self._sockets):
            here.setblocking(False)
            here.bind(("127.0.0.1", 0))
            if self._lib.edge_add(self._edge, here.fileno(), number) < 0:
                raise OSError(f"epoll takes no {number + 1} sockets")
        self.ports = [one.getsockname()[1] for one in self._sockets]
        self._work = work
        self._received = self._sent = 0
        self._hearing_s = 0.0
        # What was heard last, a row a call; what came in a phase.
        self._kept = np.zeros((count, FRAME), np.int16)
        self._rows = np.zeros((count, FRAME), np.int16)
        self._which = np.zeros(count, np.int32)
        self._sequence, self._timestamp = np.zeros(count, np.uint16), np.zeros(count, np.uint32)
        self._into = (
            self._pointer("int32_t *", self._which),
            self._pointer("uint16_t *", self._sequence),
            self._pointer("uint32_t *", self._timestamp),
            self._pointer("int16_t *", self._rows),
        )
        bounds = [count * phase // PHASES for phase in range(PHASES + 1)]
        self._of_phase = [
            (bounds[phase], bounds[phase + 1] - bounds[phase], self._pointer("int16_t *", self._kept[bounds[phase] :]))
            for phase in range(PHASES)
        ]
        self._phases = Phases(self._speak)

    def _pointer(self, kind: str, array: Any) -> Any:
        return self._ffi.cast(kind, array.ctypes.data)

    def start(self) -> None:
        self._phases.start()

    def counts(self) -> tuple[int, int, float]:
        return self._received, self._sent, self._phases.cpu_s - self._hearing_s

    def _speak(self, phase: int, slots: int) -> None:
        began = time.thread_time()
        came = self._lib.edge_receive(self._edge, len(self._kept), *self._into)
        self._kept[self._which[:came]] = self._rows[:came]
        self._received += came
        for _ in range(came):
            self._work()
        self._hearing_s += time.thread_time() - began
        first, count, pcm = self._of_phase[phase]
        self._sent += self._lib.edge_send(self._edge, first, count, slots, pcm)
