"""Which messages may be left out, and which of them only together. Pure; for the context alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llm_bridge.messages import Message

__all__ = ["Unit", "from_the_middle", "units", "without"]

Unit = tuple[int, ...]
"""The places of messages that stay or go together."""


@dataclass(slots=True)
class _Pairs:
    """Follows calls of tools whose answers are still to come, so that nothing comes between them."""

    answers: Counter[str]
    open: set[str]

    def see(self, message: Message) -> None:
        if message.answers is not None:
            self.answers[message.answers] -= 1
            self.open.discard(message.answers)
        self.open |= {call.id for call in message.tool_calls if self.answers[call.id] > 0}


def units(messages: Sequence[Message]) -> list[Unit]:
    """What may be left out, oldest first: turns before the last question, then steps after it.

    A turn is what a user says and all that follows. A step is what the assistant says and the answers of the tools it
    called. Not among them, so never left out: instructions, the last question and the newest step.
    """
    asked = max((n for n, message in enumerate(messages) if message.role == "user"), default=-1)
    pairs = _Pairs(Counter(message.answers for message in messages if message.answers is not None), set())
    found: list[list[int]] = []
    for n, message in enumerate(messages):
        if message.role != "system":
            begins = message.role == "user" or (message.role == "assistant" and n > asked)
            if not found or (begins and not pairs.open):
                found.append([])
            found[-1].append(n)
        pairs.see(message)
    return [tuple(unit) for unit in found[:-1] if asked not in unit]


def from_the_middle(given: Sequence[Unit]) -> list[Unit]:
    """In the order of their distance from the middle; the first at the end."""
    middle = len(given) / 2
    return [given[n] for n in sorted(range(1, len(given)), key=lambda n: abs(n - middle))] + list(given[:1])


def without(messages: Sequence[Message], left_out: Iterable[Unit]) -> tuple[Message, ...]:
    gone = {n for unit in left_out for n in unit}
    return tuple(message for n, message in enumerate(messages) if n not in gone)
