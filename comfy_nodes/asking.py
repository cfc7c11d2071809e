"""One question to one model, from a node: in its turn, with the answer growing in the node, stopped when the graph is.

Owns what of an answer's events people see. For the nodes that ask a single thing; `several` asks more of them beside
each other, and comparisons have `comparing`.
"""

from __future__ import annotations

import time
from typing import Protocol

from comfy_nodes.host import Running
from comfy_nodes.servers import the_servers
from comfy_nodes.thread import on_bridge
from comfy_nodes.turns import taking_turns
from comfy_nodes.values import Provider
from llm_bridge.chat import ChatRequest, Done, Event, Loading, Prompting, Reasoning, Reply, Restarted, Text, Waiting
from llm_bridge.errors import BadAnswer

__all__ = ["Display", "Shown", "ask", "facts_of", "whole"]

_BAR_SECONDS = 0.1


async def ask(running: Running, provider: Provider | None, request: ChatRequest) -> Reply:
    """The whole reply.

    Raises: BridgeError, with what the server says and what to do; ComfyUI's exception for an interrupted graph.
    """

    async def work() -> Reply:
        with taking_turns(running) as turn:
            shown = Shown(turn, request)
            reply = await (await the_servers()).ask(
                provider or Provider(), request, shown.see, shown.away, within=running.prompt
            )
            turn.text(reply.text, last=True)
        return whole(reply)

    return await on_bridge(running, work)


def whole(reply: Reply) -> Reply:
    """The reply, unless it ended before it said anything: an empty text would flow on as if it were an answer.

    Raises: BadAnswer.
    """
    if reply.finish == "length" and not reply.text.strip():
        raise BadAnswer(
            f"{reply.model or 'The model'} used up its tokens before it answered.",
            hint="Raise max_tokens, or let it not think.",
        )
    return reply


def facts_of(reply: Reply) -> str:
    """Who answered and how fast, in one line; what is not known is left out."""
    tokens, speed, ttft = reply.usage.completion, reply.tokens_per_second, reply.metrics.ttft
    facts = (
        f"{reply.server}/{reply.model}" if reply.server else reply.model,
        "" if tokens is None else f"{tokens} tokens",
        "" if speed is None else f"{speed:.1f} tok/s",
        "" if ttft is None else f"TTFT {ttft:.2f} s",
        "cut off at max_tokens" if reply.finish == "length" else "",
    )
    return " · ".join(fact for fact in facts if fact)


class Display(Protocol):
    """Where a growing answer is shown: a `Turn`, or a part of what it shows."""

    def text(self, text: str) -> None: ...

    def wait(self, text: str) -> None: ...

    def progress(self, value: int, maximum: int) -> None: ...


class Shown:
    """What is shown while an answer comes."""

    def __init__(self, display: Display, request: ChatRequest) -> None:
        self._display = display
        self._most = request.sampling.max_tokens or 0
        self._text = self._reasoning = ""
        self._pieces = 0
        self._bar_due = 0.0

    def away(self, server: str) -> None:
        """The server does not answer; the queue waits for it."""
        self._display.wait(f"{server} does not answer; trying again until it does …")

    def see(self, event: Event) -> None:
        match event:
            case Waiting(ahead):
                self._display.wait(f"Waiting: {f'{ahead} before this one' if ahead else 'this one is next'} …")
            case Loading(model, fraction):
                self._display.text(f"Loading {model} {_percent(fraction)}…")
            case Prompting(done, total):
                self._display.text(f"Reading the prompt {_percent(done / total if done and total else None)}…")
            case Reasoning(thought):
                self._reasoning += thought
                self._grow(f"Thinking …\n\n{self._reasoning}")
            case Text(text):
                self._text += text
                self._grow(self._text)
            case Restarted():
                self._text = self._reasoning = ""
                self._pieces = 0
            case Done():
                self._display.progress(1, 1)
            case _:
                pass

    def _grow(self, shown: str) -> None:
        self._pieces += 1
        self._display.text(shown)
        # ComfyUI sends every move of a bar to the page, and tokens come by the hundred.
        if (now := time.monotonic()) >= self._bar_due:
            self._bar_due = now + _BAR_SECONDS
            self._display.progress(self._pieces, self._most)


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.0%} "
