"""The E-model: how good a call sounds, from what the network did to it (ITU-T G.107 and, for wide-band, G.107.1).

What depends on the terminals and rooms (Ro, Is) is taken at the standard's defaults; Id is the delay's part Idd alone,
for the far end is four-wire and digital and sends no echo back. The advantage factor A is 0.
"""

from dataclasses import dataclass
from math import log2, pow

NARROW_BAND_R = 93.2  # G.107 §7.7: everything at its default
WIDE_BAND_R = 129.0  # G.107.1 §7.7
# G.107.1 Annex A: the same curve from R to MOS, over a scale that is longer by this.
_WIDE_BAND_SCALE = 1.29

_DELAY_NOTICED_MS = 100.0  # mT of G.107 at its default sensitivity
MAX_BURST_RATIO = 8.0  # the end of the model's range; a call whose only loss is one hole goes far beyond it


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a codec costs: Ie without loss, Bpl its robustness against it (ITU-T G.113)."""

    ie: float
    bpl: float
    wide_band: bool = False


# G.113 Appendix I. Frames that are lost are concealed; the other value is for comparison.
G711 = Impairment(ie=0.0, bpl=25.1)
G711_WITHOUT_CONCEALMENT = Impairment(ie=0.0, bpl=4.3)
# Ie,WB at 64 kbit/s by G.113 Appendix IV. Bpl is an assumption on the careful side: a lost packet also upsets the
# adaptive predictors of the packets behind it.
G722 = Impairment(ie=13.0, bpl=4.9, wide_band=True)
# G.113 does not list Opus. Bpl is that of wide-band speech at 15 kbit/s in random loss from listening models (Alahmadi,
# Pocta, Melvin 2021: Ie,WB 18.1, Bpl 18.7); Ie,WB at the 24 kbit/s and more that calls use is taken to be G.722's.
OPUS = Impairment(ie=13.0, bpl=18.7, wide_band=True)

IMPAIRMENTS = {"pcmu": G711, "pcma": G711, "g722": G722, "opus": OPUS}


@dataclass(frozen=True, slots=True)
class Rating:
    """R is 0 to 93.2 for narrow-band calls and 0 to 129 for wide-band ones; MOS is 1 to 4.5 on either scale.

    The listening MOS leaves the delay out, the conversational one has it in; `r` is the conversational one's.
    A wide-band listener expects more: MOS of different scales are not to be compared.
    """

    r: float
    mos_listening: float
    mos_conversational: float
    wide_band: bool = False


def rate(impairment: Impairment, loss_pct: float, burst_ratio: float = 1.0, one_way_delay_ms: float = 0.0) -> Rating:
    """How a call sounds to one of its ends.

    `loss_pct` counts packets that were lost or came too late; `burst_ratio` is BurstR, 1 for losses at random;
    `one_way_delay_ms` is Ta, mouth to ear. Values out of range are taken as the nearest one in it.
    """
    best = WIDE_BAND_R if impairment.wide_band else NARROW_BAND_R
    listening = best - effective_impairment(impairment, loss_pct, burst_ratio)
    r = max(listening - delay_impairment(one_way_delay_ms), 0.0)
    scale = _WIDE_BAND_SCALE if impairment.wide_band else 1.0
    return Rating(r, mean_opinion_score(listening / scale), mean_opinion_score(r / scale), impairment.wide_band)


def effective_impairment(impairment: Impairment, loss_pct: float, burst_ratio: float = 1.0) -> float:
    """Ie,eff (G.107 §7.5; G.107.1 §7.5 with the same bursts)."""
    loss_pct = min(max(loss_pct, 0.0), 100.0)
    burst_ratio = min(max(burst_ratio, 1.0), MAX_BURST_RATIO)
    return impairment.ie + (95.0 - impairment.ie) * loss_pct / (loss_pct / burst_ratio + impairment.bpl)


def delay_impairment(one_way_delay_ms: float) -> float:
    """Idd (G.107 §7.4)."""
    if one_way_delay_ms <= _DELAY_NOTICED_MS:
        return 0.0
    x = log2(one_way_delay_ms / _DELAY_NOTICED_MS)
    return 25.0 * (pow(1 + pow(x, 6), 1 / 6) - 3 * pow(1 + pow(x / 3, 6), 1 / 6) + 2)


def mean_opinion_score(r: float) -> float:
    """MOS of an R on the narrow-band scale (G.107 Annex B)."""
    if r >= 100.0:
        return 4.5
    # Below R = 6.5 the polynomial dips under the lowest mark there is.
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6) if r > 0.0 else 1.0
