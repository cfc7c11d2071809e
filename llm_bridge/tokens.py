"""How many tokens a prompt has: as the server counts, else as earlier prompts of the model taught.

Owns what was learned, which is plain JSON for whoever keeps it. Knows no tokenizer: those of local models differ, and
the server has the right one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from llm_bridge.chat import ChatRequest
from llm_bridge.errors import BridgeError

__all__ = ["Counter", "Learned"]

_BYTES_PER_TOKEN = 3.5
_PER_MESSAGE = 4  # what a chat template sets around a message
_PER_IMAGE = 1024.0
_MARGIN = 1.1

# What the start is worth against what is learned, and what all that was learned is worth at most, so that it follows
# a model that was exchanged under the same name.
_FIRST_WEIGHT = 200.0
_MOST_WEIGHT = 20_000.0
# Servers that answer a constant instead of counting are not believed.
_BELIEVED_BYTES = (0.5, 16.0)
_BELIEVED_IMAGE = (16.0, 16_384.0)

# More than any template adds; for the bound alone.
_MOST_PER_MESSAGE = 32
_MOST_PER_PROMPT = 512


@dataclass(slots=True)
class _Model:
    """Sums of what was seen: their quotients are means weighted by size."""

    bytes: float = _BYTES_PER_TOKEN * _FIRST_WEIGHT
    tokens: float = _FIRST_WEIGHT
    image_tokens: float = _PER_IMAGE
    images: float = 0.0

    def text_tokens(self, request: ChatRequest) -> float:
        return _bytes(request) * self.tokens / self.bytes + _PER_MESSAGE * len(request.messages)

    def learn_text(self, size: int, tokens: float) -> None:
        keep = min(1.0, _MOST_WEIGHT / (self.tokens + tokens))
        self.bytes = (self.bytes + size) * keep
        self.tokens = (self.tokens + tokens) * keep

    def learn_images(self, each: float, images: int) -> None:
        self.images = min(self.images + images, 64.0)
        self.image_tokens += (each - self.image_tokens) * min(1.0, images / self.images)


class Learned:
    """Bytes of text per token, by model, learned from what servers counted.

    Bytes (UTF-8) rather than characters, since tokenizers work on them: a Chinese character, three bytes, is about one
    token, an English word of five about one and a half.
    """

    def __init__(self, state: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self._models = {model: _Model(**sums) for model, sums in (state or {}).items()}

    @property
    def state(self) -> dict[str, dict[str, float]]:
        """What was learned, as JSON to begin with the next time."""
        return {model: asdict(sums) for model, sums in self._models.items()}

    def estimate(self, request: ChatRequest) -> int:
        """Tokens of the prompt, a tenth more than expected."""
        model = self._models.get(request.model) or _Model()
        return math.ceil((model.text_tokens(request) + model.image_tokens * _images(request)) * _MARGIN)

    def learn(self, request: ChatRequest, tokens: int | None) -> None:
        """``tokens`` is what the server counted for the whole prompt; None teaches nothing."""
        if not tokens:
            return
        model = self._models.get(request.model) or _Model()
        images, size = _images(request), _bytes(request)
        if images:
            each = (tokens - model.text_tokens(request)) / images
            if not _BELIEVED_IMAGE[0] <= each <= _BELIEVED_IMAGE[1]:
                return
            model.learn_images(each, images)
        else:
            text = tokens - _PER_MESSAGE * len(request.messages)
            if text <= 0 or not _BELIEVED_BYTES[0] <= size / text <= _BELIEVED_BYTES[1]:
                return
            model.learn_text(size, text)
        self._models[request.model] = model


class _Server(Protocol):
    async def count(self, request: ChatRequest) -> int | None:
        """Tokens of the whole prompt, None where the server cannot count."""
        ...


class Counter:
    """Counts prompts by ``server``, else by what was ``learned``; what the server counts is learned.

    A server that fails at counting is no error: the chat that follows meets the same server and says what is wrong.
    """

    def __init__(self, learned: Learned, server: _Server | None = None) -> None:
        self._learned = learned
        self._server = server

    async def __call__(self, request: ChatRequest, room: int) -> int:
        """Tokens of the prompt. If it surely has less than ``room``, the server is not asked, and it may be fewer."""
        most = _bound(request)
        if most is not None and most <= room:
            return most
        try:
            counted = await self._server.count(request) if self._server else None
        except BridgeError:
            counted = None
        if not counted:
            return self._learned.estimate(request)
        self._learned.learn(request, counted)
        return counted


def _bound(request: ChatRequest) -> int | None:
    """More tokens than any tokenizer makes, as none makes more than one of a byte; None with pictures."""
    if _images(request):
        return None
    return _bytes(request) + _MOST_PER_MESSAGE * len(request.messages) + _MOST_PER_PROMPT


def _images(request: ChatRequest) -> int:
    return sum(len(message.images) for message in request.messages)


def _bytes(request: ChatRequest) -> int:
    """Of all text that goes into the prompt; earlier reasoning does not."""
    size = 0
    for message in request.messages:
        size += _size(message.text) + _size(message.name or "")
        size += sum(_size(call.name) + _size(call.arguments) for call in message.tool_calls)
    for tool in request.tools:
        size += _size(tool.name) + _size(tool.description) + _size(_json(tool.parameters))
    return size


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
