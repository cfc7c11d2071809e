"""Tells what a model thinks from what it says, where a server leaves both in one text between tags.

Owns the tags. A tag may come in any number of pieces; what could be the beginning of one is held back.
"""

from __future__ import annotations

from llm_bridge.chat import Event, Reasoning, Text

__all__ = ["ThinkSplitter"]

_NAMES = ("think", "thinking", "thought", "reasoning")
_OPENING = tuple(f"<{name}>" for name in _NAMES)


class ThinkSplitter:
    """For one answer. Thinking is what stands between tags before anything was said; later tags are text.

    ``opened`` is for models whose prompt ends in the opening tag, so that only the closing one comes.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self._closing = "</think>" if opened else ""
        self._held = ""
        self._said = False
        self._fresh = True
        self._thought = opened

    def feed(self, text: str) -> list[Event]:
        """The events of one more piece of text."""
        if self._said:
            return [Text(text)] if text else []
        self._held += text
        events: list[Event] = []
        while self._held and (event := self._next()) is not None:
            if event.text:
                events.append(event)
        return events

    def end(self) -> list[Event]:
        """What is still held back, now that nothing more comes."""
        held, self._held = self._held, ""
        if self._thought and not self._closing:
            held = held.lstrip()
        if not held:
            return []
        return [Reasoning(held) if self._closing else Text(held)]

    def _next(self) -> Text | Reasoning | None:
        """One step; None when more text must come first. An empty event is a step that says nothing."""
        if self._said:
            return Text(self._take(len(self._held)))
        return self._inside() if self._closing else self._before()

    def _before(self) -> Text | Reasoning | None:
        stripped = self._held.lstrip()
        for tag in _OPENING:
            if stripped.startswith(tag):
                self._held, self._closing = stripped[len(tag) :], f"</{tag[1:]}"
                self._fresh = self._thought = True
                return Reasoning("")
        if any(tag.startswith(stripped) for tag in _OPENING):
            return None
        self._said = True
        if self._thought:
            # So is the empty line after what was thought.
            self._held = stripped
        return Text("")

    def _inside(self) -> Reasoning | None:
        if self._fresh:
            # The line break after the tag is the template's, not the model's.
            self._held = self._held.lstrip("\n")
            if not self._held:
                return None
            self._fresh = False
        end = self._held.find(self._closing)
        if end >= 0:
            thought = self._take(end)
            self._held, self._closing = self._held[len(self._closing) :], ""
            return Reasoning(thought)
        whole = len(self._held) - _overlap(self._held, self._closing)
        return Reasoning(self._take(whole)) if whole else None

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken


def _overlap(text: str, tag: str) -> int:
    """How many letters at the end of ``text`` may be the beginning of ``tag``."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-size:])), 0)
