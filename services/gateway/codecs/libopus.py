"""The C library of Opus by ctypes: the copy that PyAV's wheel carries, or else the system's. No compiler is needed.

Calls keep the interpreter's lock (PyDLL): they take 10-200 µs, and to get it back from a busy thread can take the
5 ms of a switch interval.
"""

import ctypes
import importlib.util
from functools import cache
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

APPLICATION_VOIP = 2048
# Requests of opus_defines.h.
SET_BITRATE = 4002
SET_VBR = 4006
SET_COMPLEXITY = 4010
SET_INBAND_FEC = 4012
SET_PACKET_LOSS_PERC = 4014
SET_DTX = 4016
SET_MAX_BANDWIDTH = 4004
_RESET_STATE = 4028
BANDWIDTH_NARROWBAND = 1101
BANDWIDTH_WIDEBAND = 1103

_SYSTEM = "libopus.so.0"


class OpusError(Exception):
    """The library refused; the message is its own."""


@cache
def library() -> ctypes.PyDLL | None:
    """The library with its prototypes, looked for once; None, and one line in the log, where there is none."""
    for name in (*_carried(), _SYSTEM):
        try:
            found = ctypes.PyDLL(name)
            _declare(found)
        except (OSError, AttributeError):
            continue
        return found
    _log.warning("opus_unavailable", looked_for=[*_carried(), _SYSTEM], do="install PyAV (av) or libopus0")
    return None


def version() -> str | None:
    """E.g. "libopus 1.6.1"; None without a library."""
    found = library()
    return None if found is None else found.opus_get_version_string().decode()


def _carried() -> list[str]:
    """Paths of libopus in PyAV's wheel, found without importing it (that would load FFmpeg)."""
    try:
        spec = importlib.util.find_spec("av")
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return sorted(str(path) for path in package.parent.glob("av.libs/libopus*.so*"))


def _declare(opus: ctypes.PyDLL) -> None:
    number, pointer, text, handle = ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
    status = ctypes.POINTER(ctypes.c_int)
    for name, result, arguments in (
        ("opus_get_version_string", text, []),
        ("opus_strerror", text, [number]),
        ("opus_encoder_create", handle, [number, number, number, status]),
        ("opus_encoder_destroy", None, [handle]),
        ("opus_encode", number, [handle, text, number, pointer, number]),
        # Variadic in C: what follows the request goes as ctypes.c_int.
        ("opus_encoder_ctl", number, [handle, number]),
        ("opus_decoder_create", handle, [number, number, status]),
        ("opus_decoder_destroy", None, [handle]),
        ("opus_decode", number, [handle, text, number, pointer, number, number]),
        ("opus_packet_parse", number, [text, number, pointer, pointer, pointer, status]),
    ):
        function = getattr(opus, name)
        function.restype, function.argtypes = result, arguments


def checked(result: int) -> int:
    """A count from the library. Raises OpusError where it is a refusal."""
    if result < 0:
        found = library()
        said = found.opus_strerror(result).decode() if found is not None else "no library"
        raise OpusError(f"libopus: {said}")
    return result
