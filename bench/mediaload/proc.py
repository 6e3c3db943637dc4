"""What processes and cores cost, from /proc (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system time so far, of all its threads. Raises OSError when it has ended."""
    # The name may hold blanks; what follows it does not.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def waited_s(pid: int) -> float:
    """How long its main thread was ready to run and had no core."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except FileNotFoundError:
        return 0.0


def pss_kb(pid: int) -> float:
    """What is resident and its own, in KiB: a shared page counts by its share. RSS where the kernel does not tell."""
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(key):
                return float(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")


def udp_drops(first: int, last: int) -> int:
    """Datagrams that came for UDP ports of the range on IPv4 and that nobody took in time."""
    dropped = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if first <= int(fields[1].rpartition(":")[2], 16) <= last:
            dropped += int(fields[-1])
    return dropped
