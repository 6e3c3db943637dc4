"""How well the recogniser hears people: word error rate and CPU time on recordings with known words.

`python -m evals.recognition --json` prints what `measure` returns.
"""

from evals.recognition.measurement import measure

__all__ = ["measure"]
