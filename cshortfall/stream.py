"""Expected Shortfall of streams: one outcome at a time, many machines, bounded memory.

`TailWindow` slides over the last outcomes and `TailAverager` takes a stream of known length, both exactly;
`TailSketch` takes any number of outcomes, merges with others, and gives guaranteed bounds.

Conventions are those of `cshortfall.es`: gains positive, results are losses, ``level`` is the confidence.
"""

from __future__ import annotations

from cshortfall._core.sketch import TailSketch
from cshortfall._core.window import TailAverager, TailWindow

__all__ = ["TailAverager", "TailSketch", "TailWindow"]
