"""What a receiver counts of one call's incoming RTP: losses, order, jitter (RFC 3550 A.1, A.3, A.8) and bursts
(RFC 3611 §4.7.2). No clock inside: each packet comes with its arrival.

Counting is by exception: a packet that is the next one costs one comparison and the jitter, everything else is derived
from what went wrong.
"""

from copy import copy
from dataclasses import dataclass

from services.gateway.rtp import MAX_DROPOUT, MAX_MISORDER

GMIN = 16  # RFC 3611 §4.7.2: so many packets in a row without loss end a burst

# A step further than this is no jitter but a clock that was set anew: silence whose timestamps stood still, another
# source behind the same SSRC, a wrap of the 32 bits. It is not measured; the next packets are, from there on.
MAX_TRANSIT_STEP_US = 500_000

_NEVER_US = -(1 << 62)
_NO_SEQUENCE = 1 << 20  # in place of the raw number to come: the next packet begins a stream
_UINT32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Bursts:
    """Losses and discards, in packets (RFC 3611 §4.7.2).

    A burst begins and ends with a lost packet, holds more than one, and never GMIN good ones in a row. What is not
    burst is gap. `runs` counts losses in a row as one.
    """

    bursts: int = 0
    burst_packets: int = 0
    burst_lost: int = 0
    gap_packets: int = 0
    gap_lost: int = 0
    runs: int = 0

    @property
    def burst_density(self) -> float:
        """The share of a burst's packets that is lost, 0 to 1."""
        return self.burst_lost / self.burst_packets if self.burst_packets else 0.0

    @property
    def gap_density(self) -> float:
        return self.gap_lost / self.gap_packets if self.gap_packets else 0.0

    @property
    def mean_burst_packets(self) -> float:
        return self.burst_packets / self.bursts if self.bursts else 0.0

    @property
    def mean_gap_packets(self) -> float:
        """Gaps lie before, between and behind the bursts."""
        return self.gap_packets / (self.bursts + 1)

    @property
    def ratio(self) -> float:
        """BurstR (ITU-T G.107 §3.5): the mean run of losses over that of the same loss at random; 1 without loss."""
        lost, packets = self.burst_lost + self.gap_lost, self.burst_packets + self.gap_packets
        return lost / self.runs * (1 - lost / packets) if self.runs and lost < packets else 1.0


@dataclass(frozen=True, slots=True)
class IntervalLoss:
    """The figures of a report block (RFC 3550 §6.4.1), of the present SSRC; see rtcp.ReportBlock for the units."""

    fraction_lost: int
    cumulative_lost: int
    highest_sequence: int
    jitter: int


class _Pattern:
    """The losses so far as bursts and gaps; runs of losses are told in order of sequence."""

    def __init__(self) -> None:
        self.bursts = self.burst_packets = self.burst_lost = self.lost = self.runs = 0
        self._first = self._last = -2 * GMIN  # first and last loss of what may become a burst
        self._losses = 0

    def run(self, first: int, end: int) -> None:
        """The packets from `first` up to but not with `end` are lost."""
        good = first - self._last - 1
        if good >= GMIN:
            self._close()
            self._first = first
        self.runs += good > 0
        self._last = end - 1
        self._losses += end - first
        self.lost += end - first

    def result(self, packets: int) -> Bursts:
        """As if the stream of so many packets ended here."""
        self._close()
        gap_packets = max(packets - self.burst_packets, 0)
        gap_lost = min(self.lost - self.burst_lost, gap_packets)
        return Bursts(self.bursts, self.burst_packets, self.burst_lost, gap_packets, gap_lost, self.runs)

    def _close(self) -> None:
        if self._losses > 1:
            self.bursts += 1
            self.burst_packets += self._last - self._first + 1
            self.burst_lost += self._losses
        self._losses = 0


@dataclass(frozen=True, slots=True)
class _Unmeasured:
    """A packet that counts for nothing new: a duplicate, or one that is not believed."""

    extended: int | None


class Reception:
    """Statistics of the RTP that one call receives, over all its SSRCs.

    Sequence numbers are extended so that they never wrap; where the sender starts again (RFC 3550 A.1: two packets in
    a row far off, or `restart`) they go on right behind the highest so far, so that nothing looks lost.
    """

    def __init__(self, clock_hz: int) -> None:
        """`clock_hz` is that of the stream's RTP timestamps."""
        self.clock_hz = clock_hz
        self.reordered = 0
        self.duplicates = 0
        self.discarded = 0
        self._us_a_unit = 1_000_000 / clock_hz
        # The highest extended number is always `_cycle + _next - 1`; `_next` is raw, and 65536 where it will wrap.
        self._next = _NO_SEQUENCE
        self._cycle = -_NO_SEQUENCE
        self._after_jump = self._jumped_at = -1
        self._began = 0
        # Of the present stream, for its reports; the lost ones of those before it are kept aside.
        self._first = 0
        self._first_raw = 0
        self._lost = 0
        self._repeated = 0
        self._reported_expected = 0
        self._reported_received = 0
        self._lost_before = 0
        # In extended numbers: holes that may still be filled, from and up to, and what was discarded.
        self._holes: list[tuple[int, int]] = []
        self._discards: list[int] = []
        self._pattern = _Pattern()
        self._arrival_us = _NEVER_US
        self._timestamp = 0
        self._jitter_us = 0.0
        self._jitter_max_us = 0.0
        self._steps_us = 0.0
        self._unmeasured = 0

    def packet(self, sequence: int, timestamp: int, arrival_us: int, timed: bool = True) -> int | None:
        """One packet of the call's source; its extended sequence number, None where it is far off and not believed.

        `timed` is False for packets whose timestamp does not tell when they were made: telephone-events (RFC 4733:
        that of the key's begin) and comfort noise (RFC 3389). They count as packets; the packet behind them is where
        the measuring of jitter begins anew, so that neither silence nor keys look like jitter.
        """
        if sequence == self._next:
            self._next = sequence + 1
            extended = self._cycle + sequence
        else:
            placed = self._out_of_turn(sequence)
            if isinstance(placed, _Unmeasured):
                return placed.extended
            extended = placed
        if not timed:
            self._arrival_us = _NEVER_US
            self._unmeasured += 1
            return extended
        step_us = arrival_us - self._arrival_us - (timestamp - self._timestamp) * self._us_a_unit
        self._arrival_us = arrival_us
        self._timestamp = timestamp
        if step_us < 0.0:
            step_us = -step_us
        if step_us > MAX_TRANSIT_STEP_US:
            self._unmeasured += 1
            return extended
        self._steps_us += step_us
        jitter_us = self._jitter_us
        self._jitter_us = jitter_us = jitter_us + (step_us - jitter_us) * 0.0625
        if jitter_us > self._jitter_max_us:
            self._jitter_max_us = jitter_us
        return extended

    def discard(self, sequence: int) -> None:
        """A packet that was counted has come too late to be played; for the ear it is lost."""
        self.discarded += 1
        if self._next == _NO_SEQUENCE:
            return
        extended = self._highest - ((self._next - 1 - sequence) & 0xFFFF)
        # What is long past can't be put in its place any more: it counts, and is in no burst.
        if extended < max(self._first, self._horizon) or extended in self._discards or self._hole(extended) is not None:
            return
        self._discards.append(extended)
        self._settle(self._horizon)

    def restart(self) -> None:
        """The next packet begins another stream: another SSRC, or another device goes on with the call."""
        self._cycle, self._next = self._highest + 1 - _NO_SEQUENCE, _NO_SEQUENCE

    def clocked(self, clock_hz: int) -> None:
        """The stream's RTP clock is another from now on (another codec)."""
        if clock_hz != self.clock_hz:
            self.clock_hz = clock_hz
            self._us_a_unit = 1_000_000 / clock_hz
            self._arrival_us = _NEVER_US

    @property
    def expected(self) -> int:
        """Packets that were sent, as far as the sequence numbers tell."""
        return self._highest + 1 - self._began

    @property
    def received(self) -> int:
        """Packets that came, each once."""
        return self.expected - self.lost

    @property
    def lost(self) -> int:
        """Packets that did not come so far; never more than `expected`."""
        return self._lost_before + self._lost

    @property
    def jitter_ms(self) -> float:
        """The interarrival jitter at present (RFC 3550 A.8)."""
        return self._jitter_us / 1000

    @property
    def jitter_max_ms(self) -> float:
        return self._jitter_max_us / 1000

    @property
    def jitter_mean_ms(self) -> float:
        """The mean of the differences that the jitter of RFC 3550 smooths."""
        measured = self.received - self._unmeasured
        return self._steps_us / measured / 1000 if measured > 0 else 0.0

    def bursts(self) -> Bursts:
        """The bursts and gaps so far; what is missing now counts as lost."""
        pattern = copy(self._pattern)
        for first, end in self._runs(self._highest + 1):
            pattern.run(first, end)
        return pattern.result(self.expected)

    def interval(self) -> IntervalLoss | None:
        """The figures for the next report, and the interval begins anew (RFC 3550 A.3).

        None where nothing came since the last one: a source that is silent gets no report block (§6.4).
        """
        if self._next == _NO_SEQUENCE:
            return None
        expected = self._highest + 1 - self._first
        # RFC 3550 §6.4.1: what was received includes duplicates, so that it may be more than was expected.
        received = expected - self._lost + self._repeated
        if received == self._reported_received:
            return None
        of, got = expected - self._reported_expected, received - self._reported_received
        self._reported_expected, self._reported_received = expected, received
        missing = of - got
        lost = max(-0x800000, min(expected - received, 0x7FFFFF))
        return IntervalLoss(
            fraction_lost=min(256 * missing // of, 255) if missing > 0 and of > 0 else 0,
            cumulative_lost=lost,
            highest_sequence=self._first_raw + expected - 1 & _UINT32,
            jitter=min(int(self.jitter_ms * self.clock_hz / 1000), _UINT32),
        )

    @property
    def _highest(self) -> int:
        return self._cycle + self._next - 1

    @property
    def _horizon(self) -> int:
        """Packets of lower numbers are not believed any more (RFC 3550 A.1)."""
        return self._highest + 1 - MAX_MISORDER

    def _out_of_turn(self, sequence: int) -> int | _Unmeasured:
        """The extended number of a packet that is not the next one (RFC 3550 A.1, update_seq)."""
        if self._next == _NO_SEQUENCE:
            return self._begin(sequence)
        highest = self._highest
        missing = (sequence - self._next) & 0xFFFF
        if missing < MAX_DROPOUT - 1:
            extended = highest + 1 + missing
            self._cycle, self._next = extended - sequence, sequence + 1
            if missing:
                self._lost += missing
                self._holes.append((highest + 1, extended))
                self._settle(self._horizon)
            return extended
        behind = 0xFFFF - missing
        if behind < MAX_MISORDER:
            return self._behind(highest - behind)
        if sequence == self._after_jump and self._next == self._jumped_at:
            return self._begin(sequence)
        self._after_jump, self._jumped_at = (sequence + 1) & 0xFFFF, self._next
        return _Unmeasured(None)

    def _begin(self, sequence: int) -> int:
        extended = self._highest + 1
        if not self.expected:
            self._began = extended = sequence
        self._settle(extended)
        self._lost_before += self._lost
        self._lost = self._repeated = self._reported_expected = self._reported_received = 0
        self._first, self._first_raw = extended, sequence
        self._cycle, self._next = extended - sequence, sequence + 1
        self._arrival_us, self._jitter_us = _NEVER_US, 0.0
        return extended

    def _behind(self, extended: int) -> int | _Unmeasured:
        if extended < self._first:
            return _Unmeasured(extended)
        at = self._hole(extended)
        if at is None:
            self.duplicates += 1
            self._repeated += 1
            return _Unmeasured(extended)
        first, end = self._holes[at]
        self._holes[at : at + 1] = [hole for hole in ((first, extended), (extended + 1, end)) if hole[0] < hole[1]]
        self._lost -= 1
        self.reordered += 1
        return extended

    def _hole(self, extended: int) -> int | None:
        return next((at for at, (first, end) in enumerate(self._holes) if first <= extended < end), None)

    def _runs(self, before: int) -> list[tuple[int, int]]:
        """What is missing or discarded and ends before this number, in order."""
        holes = [hole for hole in self._holes if hole[1] <= before]
        return sorted(holes + [(one, one + 1) for one in self._discards if one < before])

    def _settle(self, before: int) -> None:
        """Holes that nothing can fill any more become losses; bounds the lists to MAX_MISORDER entries."""
        for first, end in self._runs(before):
            self._pattern.run(first, end)
        self._holes = [hole for hole in self._holes if hole[1] > before]
        self._discards = [one for one in self._discards if one >= before]
