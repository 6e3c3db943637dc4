"""Clauses that were synthesized before: greetings, fillers, apologies. On disk, with the latest ones in memory."""

import contextlib
import hashlib
import json
import os
import struct
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from services.tts.alignment import AlignedWord
from services.tts.rendering import RENDERING, ClauseAudio

# File: magic, sha256 of what follows, length of the JSON, the JSON (rate and words), samples as s16le.
_MAGIC = b"TPH1"
_HEAD = struct.Struct("<4s32s")
_LENGTH = struct.Struct("<I")
_SUFFIX = ".phrase"
MEMORY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PhraseKey:
    """All that decides how a clause sounds."""

    engine: str
    model_sha256: str
    voice: str
    speed: float
    level_dbfs: float
    language: str
    rate_hz: int
    text: str
    # The entries of the agent's lexicon that this text has.
    lexicon: tuple[tuple[str, str], ...] = ()

    def digest(self) -> str:
        return hashlib.sha256(json.dumps([RENDERING, asdict(self)], sort_keys=True).encode()).hexdigest()


class PhraseCache:
    """Bounded on disk and in memory; the least recently used go first. Thread-safe.

    A file that is damaged, or a folder that can't be written, means a synthesis more and nothing worse.
    """

    def __init__(self, folder: Path | None, disk_bytes: int, memory_bytes: int = MEMORY_BYTES) -> None:
        """Without a folder: memory only."""
        self._folder = folder
        self._disk_bytes = disk_bytes
        self._memory_bytes = memory_bytes
        self._memory: OrderedDict[str, ClauseAudio] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def remembered(self, key: PhraseKey) -> ClauseAudio | None:
        """From memory alone; never blocks."""
        digest = key.digest()
        with self._lock:
            found = self._memory.get(digest)
            if found is not None:
                self._memory.move_to_end(digest)
            return found

    def get(self, key: PhraseKey) -> ClauseAudio | None:
        """From memory or disk; may block for a small file."""
        found = self.remembered(key)
        if found is not None or self._folder is None:
            return found
        path = self._path(key)
        try:
            found = unpack(path.read_bytes())
            if found is None:
                path.unlink()
                return None
            os.utime(path)
        except OSError:
            return found
        self._remember(key.digest(), found)
        return found

    def put(self, key: PhraseKey, audio: ClauseAudio) -> None:
        """Blocks for a small file."""
        self._remember(key.digest(), audio)
        if self._folder is None:
            return
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(pack(audio))
            temporary.replace(path)
            self._make_room()
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _path(self, key: PhraseKey) -> Path:
        assert self._folder is not None
        return self._folder / f"{key.digest()}{_SUFFIX}"

    def _remember(self, digest: str, audio: ClauseAudio) -> None:
        with self._lock:
            old = self._memory.pop(digest, None)
            self._held += audio.samples.nbytes - (old.samples.nbytes if old else 0)
            self._memory[digest] = audio
            while self._held > self._memory_bytes and self._memory:
                _, gone = self._memory.popitem(last=False)
                self._held -= gone.samples.nbytes

    def _make_room(self) -> None:
        assert self._folder is not None
        with self._lock:
            stats = sorted(((path.stat(), path) for path in self._folder.glob(f"*{_SUFFIX}")), key=_used)
            total = sum(stat.st_size for stat, _ in stats)
            for stat, path in stats:
                if total <= self._disk_bytes:
                    return
                path.unlink(missing_ok=True)
                total -= stat.st_size


def _used(entry: tuple[os.stat_result, Path]) -> int:
    return entry[0].st_mtime_ns


def pack(audio: ClauseAudio) -> bytes:
    """A phrase file."""
    words = [[word.text, word.start, word.end] for word in audio.words]
    head = json.dumps({"rate_hz": audio.rate_hz, "words": words}).encode()
    body = _LENGTH.pack(len(head)) + head + audio.samples.astype("<i2").tobytes()
    return _HEAD.pack(_MAGIC, hashlib.sha256(body).digest()) + body


def unpack(content: bytes) -> ClauseAudio | None:
    """None for a file that is not whole."""
    if len(content) < _HEAD.size:
        return None
    magic, digest = _HEAD.unpack_from(content)
    body = content[_HEAD.size :]
    if magic != _MAGIC or hashlib.sha256(body).digest() != digest:
        return None
    (size,) = _LENGTH.unpack_from(body)
    samples_at = _LENGTH.size + size
    head = json.loads(body[_LENGTH.size : samples_at])
    words = tuple(AlignedWord(text, start, end) for text, start, end in head["words"])
    return ClauseAudio(np.frombuffer(body[samples_at:], "<i2").astype(np.int16), head["rate_hz"], words)
