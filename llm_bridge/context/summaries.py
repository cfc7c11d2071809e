"""Summaries of old turns by the model itself, kept by what they stand for. For the context; asks through a function."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from llm_bridge.chat import ChatRequest, Reply, Sampling
from llm_bridge.errors import BadAnswer, ContextExceeded
from llm_bridge.messages import Image, Message

__all__ = ["Ask", "Count", "Summaries", "keys"]

Ask = Callable[[ChatRequest], Awaitable[Reply]]

Count = Callable[[ChatRequest, int], Awaitable[int]]
"""Tokens of a prompt; the number need not be exact where it is below the second argument."""

_MOST_KEPT = 256
_SHORTEST_LINE = 200
_TASK = (
    "Summarise the conversation that you are given, for an assistant that will continue it without seeing it. Keep "
    "names, numbers, decisions, preferences and open questions. Answer with the summary alone, in the language of the "
    "conversation."
)


class Summaries:
    """Makes summaries, and keeps the newest 256 by a hash of the model and the messages they stand for.

    As a chat grows, its next summary is made of the last one and the turns since, so each turn is read about once.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._kept: OrderedDict[bytes, str] = OrderedDict()

    def made(self, key: bytes) -> str | None:
        """The summary that was made for ``key``."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    async def make(self, key: bytes, request: ChatRequest, before: str, count: Count, room: int) -> str:
        """A summary of ``before``, an earlier one, and the messages of ``request``, by its model, kept under ``key``.

        Its prompts have at most ``room`` tokens by ``count``; the answer has at most the request's max_tokens.

        Raises:
            BadAnswer: the model writes nothing.
            BridgeError: whatever asking raises.
        """
        told = await self._fold(request, before, [_told(message) for message in request.messages], count, room)
        self._kept[key] = told
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return told

    async def _fold(self, request: ChatRequest, before: str, lines: list[str], count: Count, room: int) -> str:
        """In pieces that fit: the summary of one goes into the next. A line that alone is too long loses its middle."""
        asked = _asked(request, before, lines)
        if await count(asked, room) <= room:
            return await self._answer(asked)
        if len(lines) > 1:
            middle = len(lines) // 2
            before = await self._fold(request, before, lines[:middle], count, room)
            return await self._fold(request, before, lines[middle:], count, room)
        if len(lines[0]) < _SHORTEST_LINE:
            raise ContextExceeded("Not even a summary fits into the window.", hint="Choose a larger window.")
        part = len(lines[0]) // 4
        return await self._fold(request, before, [f"{lines[0][:part]} […] {lines[0][-part:]}"], count, room)

    async def _answer(self, asked: ChatRequest) -> str:
        told = (await self._ask(asked)).text.strip()
        if not told:
            raise BadAnswer("The model wrote no summary.", hint="Choose another strategy for the context.")
        return told


def keys(model: str, groups: Sequence[Sequence[Message]]) -> list[bytes]:
    """A key for the first n of the groups, for each n from 0."""
    digest = hashlib.sha256(model.encode(errors="surrogatepass"))
    found = [digest.digest()]
    for group in groups:
        for message in group:
            for piece in (_told(message).encode(errors="surrogatepass"), *(image.data for image in message.images)):
                digest.update(b"%d:" % len(piece))
                digest.update(piece)
        found.append(digest.digest())
    return found


def _asked(request: ChatRequest, before: str, lines: Sequence[str]) -> ChatRequest:
    earlier = [f"Summary of what came before:\n{before}"] if before else []
    messages = (Message.system(_TASK), Message.user("\n\n".join([*earlier, *lines])))
    sampling = Sampling(temperature=0.0, max_tokens=request.sampling.max_tokens)
    # A model that thinks first would spend the few tokens on thoughts.
    return replace(request, messages=messages, sampling=sampling, tools=(), tool_choice=None, schema=None, think=False)


def _told(message: Message) -> str:
    speaker = message.name or message.role.capitalize()
    said = "".join("[picture]" if isinstance(part, Image) else part for part in message.parts)
    calls = "".join(f"\n[calls {call.name}({call.arguments})]" for call in message.tool_calls)
    return f"{speaker}: {said}{calls}"
