"""Tells what a model thinks from what it says, where a server leaves both in one text between tags.

Owns the tags. A tag may come in any number of pieces; what could be the beginning of one is held back.
"""

from __future__ import annotations

import re

from llm_bridge.chat import Event, Reasoning, Restarted, Text
from llm_bridge.gathered import Gathered

__all__ = ["ThinkSplitter"]

_NAMES = ("think", "thinking", "thought", "reasoning")
_OPENING = tuple(f"<{name}>" for name in _NAMES)
_CLOSING = "</think>"
_FIRST = re.compile(rf"<think>|{_CLOSING}(.?)", re.DOTALL)


class ThinkSplitter:
    """For one answer. Thinking is what stands between tags before anything was said; later tags are text.

    Where the prompt ended in the opening tag, only the closing one comes, and what is thought was told as text by then.
    A closing tag at the end of its line that nothing opened shows it: `Restarted` takes the text back.
    """

    def __init__(self) -> None:
        self._closing = ""
        self._held: str = ""
        self._said = False
        self._fresh = True
        self._thought = False
        self._heard = False
        self._told: Gathered | None = None
        """What was said so far, as long as it may turn out to be thought."""
        self._tail = ""

    def feed(self, text: str) -> list[Event]:
        """The events of one more piece of text; an empty one for the very first piece when it is held back."""
        if self._said and self._told is None:
            return [Text(text)] if text else []
        self._held += text
        events: list[Event] = []
        while self._held and (more := self._next()) is not None:
            events += more
        if text and not self._heard:
            self._heard = True
            return events or [Text("")]
        return events

    def end(self) -> list[Event]:
        """What is still held back, now that nothing more comes."""
        if self._told is not None and self._tail == _CLOSING:
            return self._taken_back(self._told.text)
        held, self._held = self._held, ""
        if self._thought and not self._closing:
            held = held.lstrip()
        if not held:
            return []
        return [Reasoning(held) if self._closing else Text(held)]

    def _next(self) -> list[Event] | None:
        """The events of one step, which may be none; None when more text must come first."""
        if self._said:
            return self._saying()
        return self._inside() if self._closing else self._before()

    def _before(self) -> list[Event] | None:
        stripped = self._held.lstrip()
        for tag in _OPENING:
            if stripped.startswith(tag):
                self._held, self._closing = stripped[len(tag) :], f"</{tag[1:]}"
                self._fresh = self._thought = True
                return []
        if stripped.startswith(_CLOSING):
            self._held, self._thought = stripped[len(_CLOSING) :], True
            return []
        if any(tag.startswith(stripped) for tag in (*_OPENING, _CLOSING)):
            return None
        self._said = True
        if self._thought:
            # So is the empty line after what was thought.
            self._held = stripped
        else:
            self._told = Gathered()
        return []

    def _inside(self) -> list[Event] | None:
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
            return [Reasoning(thought)] if thought else []
        whole = len(self._held) - _overlap(self._held, self._closing)
        return [Reasoning(self._take(whole))] if whole else None

    def _saying(self) -> list[Event]:
        text = self._take(len(self._held))
        if self._told is None:
            return [Text(text)]
        before = self._told.size
        self._told.add(text)
        tail = self._tail + text
        self._tail = tail[-len(_CLOSING) :]
        first = _FIRST.search(tail)
        if first is not None and first.group(1) == "\n":
            taken_back = self._taken_back(self._told.text)
            return taken_back if before else taken_back[1:]
        if first is not None and first.group(1) != "":
            # A tag that is part of what the model says.
            self._told = None
        return [Text(text)]

    def _taken_back(self, told: str) -> list[Event]:
        thought, _, self._held = told.partition(_CLOSING)
        self._told, self._said, self._thought = None, False, True
        return [Restarted("What came so far was thought."), Reasoning(thought.lstrip("\n"))]

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken


def _overlap(text: str, tag: str) -> int:
    """How many letters at the end of ``text`` may be the beginning of ``tag``."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-size:])), 0)
