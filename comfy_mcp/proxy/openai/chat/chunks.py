"""Chat completions as OpenAI's clients read them: the chunks of a stream as bytes, and the whole one as JSON.

Owns both shapes (`openai/openai-python:src/openai/types/chat/chat_completion_chunk.py`, `chat_completion.py`). A chunk
is made for every token, so what stays the same is put into bytes once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from llm_bridge.chat import Reply, ToolCallPiece, Usage

__all__ = ["DONE", "Chunks", "comment", "completion_body", "failed_event", "text_of"]

DONE = b"data: [DONE]\n\n"


class Chunks:
    """The chunks of one answer of a ``model``; the first one is preceded by that which names the role.

    With ``usage`` a last chunk tells the tokens, and all others say that they do not.
    """

    def __init__(self, model: str, *, usage: bool) -> None:
        head = _json({**_head(model, "chat.completion.chunk"), "system_fingerprint": None})[:-1]
        self._head = f"data: {head}"
        self._before = f'{self._head},"choices":[{{"index":0,"delta":'.encode()
        self._rest = b',"usage":null}\n\n' if usage else b"}\n\n"
        self._after = b',"logprobs":null,"finish_reason":null}]' + self._rest
        self._begun = False
        self._calls: set[int] = set()

    def text(self, text: str) -> bytes:
        return self._delta(b'{"content":' + json.dumps(text).encode() + b"}")

    def reasoning(self, text: str) -> bytes:
        """In the field that DeepSeek, llama.cpp and vLLM have for it, and chats read."""
        return self._delta(b'{"reasoning_content":' + json.dumps(text).encode() + b"}")

    def call(self, piece: ToolCallPiece) -> bytes:
        """Id, type and name go with the first piece of a call only: clients add up what comes twice."""
        call: dict[str, Any] = {"index": piece.index}
        function = {"arguments": piece.arguments}
        if piece.index not in self._calls:
            self._calls.add(piece.index)
            call |= {"id": piece.id or f"call_{uuid.uuid4().hex}", "type": "function"}
            function = {"name": piece.name, **function}
        return self._delta(_json({"tool_calls": [{**call, "function": function}]}).encode())

    def finish(self, reply: Reply) -> bytes:
        reason = json.dumps(_finish(reply)).encode()
        chunk = self._before + b'{},"logprobs":null,"finish_reason":' + reason + b"}]" + self._rest
        return self._first() + chunk

    def usage(self, reply: Reply, told: Mapping[str, Any]) -> bytes:
        more = _json({"choices": [], "usage": _usage(reply.usage), "workbench": told})[1:]
        return f"{self._head},{more}\n\n".encode()

    def _delta(self, delta: bytes) -> bytes:
        chunk = self._before + delta + self._after
        return chunk if self._begun else self._first() + chunk

    def _first(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._before + b'{"role":"assistant","content":""}' + self._after


def comment(text: str) -> bytes:
    """A line that clients pass over; it keeps them and what is between from giving up."""
    return f": {' '.join(text.split())}\n\n".encode("utf-8", "replace")


def failed_event(body: Mapping[str, Any]) -> bytes:
    """A failure in the middle of a stream: OpenAI's clients raise on `error`, whatever else came before."""
    return f"data: {_json(body)}\n\n".encode()


def completion_body(reply: Reply, model: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The whole answer of a ``model``; ``told`` is what we add about the way it took."""
    text = text_of(reply)
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if reply.tool_calls else "")}
    message["refusal"] = None
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id or f"call_{uuid.uuid4().hex}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in reply.tool_calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return {
        **_head(model, "chat.completion"),
        "choices": [choice],
        "usage": _usage(reply.usage),
        "system_fingerprint": None,
        "workbench": told,
    }


def text_of(reply: Reply) -> str:
    """What is said. Of an answer that had to be JSON and came with something around it, the JSON alone."""
    if reply.data is None:
        return reply.text
    try:
        json.loads(reply.text)
    except (ValueError, RecursionError):
        return json.dumps(reply.data, ensure_ascii=False)
    return reply.text


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _finish(reply: Reply) -> str:
    if reply.finish == "unknown":
        return "tool_calls" if reply.tool_calls else "stop"
    return reply.finish


def _usage(usage: Usage) -> dict[str, Any] | None:
    if usage.prompt is None and usage.completion is None:
        return None
    # Clients add them up, so none may be missing when there is one.
    prompt, completion = usage.prompt or 0, usage.completion or 0
    told: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if usage.cached is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return told


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
