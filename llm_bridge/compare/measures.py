"""What was measured of one answer: times by the client's clock where it tells, speed by the server's where it tells.

Pure. What nobody tells is None. Read by `reports`; medians over many are in `summary`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from llm_bridge.chat import Reply

__all__ = ["Measures", "measures"]


@dataclass(frozen=True, slots=True)
class Measures:
    """Times are seconds; ``tokens`` is what the model wrote by the server's count, reasoning included."""

    ttft: float | None = None
    tokens_per_second: float | None = None
    tokens: int | None = None
    characters: int | None = None
    reasoning_characters: int | None = None
    load: float | None = None
    queued: float | None = None
    seconds: float | None = None


def measures(reply: Reply | None) -> Measures:
    """All None for a cell without an answer."""
    if reply is None:
        return Measures()
    metrics, timings = reply.metrics, reply.timings
    return Measures(
        ttft=_first(metrics.ttft),
        tokens_per_second=_first(reply.tokens_per_second),
        tokens=reply.usage.completion,
        characters=len(reply.text),
        reasoning_characters=len(reply.reasoning),
        load=_first(metrics.load, timings.load),
        queued=_first(metrics.queued),
        seconds=_first(metrics.seconds),
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None and isfinite(value)), None)
