"""One question to one model, from a node: in its turn, with the answer growing in the node, stopped when the graph is.

Owns what of an answer's events people see. For the nodes that ask a single thing; comparisons have `comparing`.
"""

from __future__ import annotations

from comfy_nodes.host import Running
from comfy_nodes.servers import the_servers
from comfy_nodes.thread import on_bridge
from comfy_nodes.values import Provider
from llm_bridge.chat import ChatRequest, Done, Event, Loading, Prompting, Reasoning, Reply, Restarted, Text, Waiting

__all__ = ["ask"]


async def ask(running: Running, provider: Provider | None, request: ChatRequest) -> Reply:
    """The whole reply.

    Raises: BridgeError, with what the server says and what to do; ComfyUI's exception for an interrupted graph.
    """

    async def work() -> Reply:
        shown = _Shown(running, request)
        reply = await (await the_servers()).ask(provider or Provider(), request, shown.see)
        running.text(reply.text, last=True)
        return reply

    return await on_bridge(running, work)


class _Shown:
    """What the node shows while the answer comes."""

    def __init__(self, running: Running, request: ChatRequest) -> None:
        self._running = running
        self._most = request.sampling.max_tokens or 0
        self._text = self._reasoning = ""
        self._pieces = 0

    def see(self, event: Event) -> None:
        match event:
            case Waiting(ahead):
                self._running.text(f"Waiting: {ahead} before this one …")
            case Loading(model, fraction):
                self._running.text(f"Loading {model} {_percent(fraction)}…")
            case Prompting(done, total):
                self._running.text(f"Reading the prompt {_percent(done / total if done and total else None)}…")
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
                self._running.progress(1, 1)
            case _:
                pass

    def _grow(self, shown: str) -> None:
        self._pieces += 1
        self._running.text(shown)
        self._running.progress(self._pieces, self._most)


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.0%} "
