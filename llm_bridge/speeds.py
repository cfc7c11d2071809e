"""How fast models were: a moving mean of tokens per second and of the wait for the first token.

Plain numbers in memory. Fed by the queue with every reply, read by the router.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_bridge.chat import Reply

__all__ = ["Speed", "Speeds"]

_NEWEST_COUNTS = 0.3
_MOST = 1024


@dataclass(frozen=True, slots=True)
class Speed:
    """``ttft`` is seconds to the first token. None: not measured yet."""

    tokens_per_second: float | None = None
    ttft: float | None = None


class Speeds:
    """By server and model; the one that was seen longest ago is forgotten first."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], Speed] = {}

    def see(self, server: str, model: str, reply: Reply) -> None:
        """Learn from a reply."""
        before = self._seen.pop((server, model), Speed())
        rate = _mean(before.tokens_per_second, reply.tokens_per_second)
        self._seen[server, model] = Speed(rate, _mean(before.ttft, reply.metrics.ttft))
        if len(self._seen) > _MOST:
            del self._seen[next(iter(self._seen))]

    def of(self, server: str, model: str) -> Speed:
        return self._seen.get((server, model), Speed())


def _mean(before: float | None, now: float | None) -> float | None:
    if before is None or now is None:
        return before if now is None else now
    return before + _NEWEST_COUNTS * (now - before)
