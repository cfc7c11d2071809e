"""One prompt for an image model of one idea: how it is asked for, and how it is read out of what a model answers.

The model is asked for JSON, which leaves no room for chatter; where it or its server cannot do that, for text. For
Prompt Expander.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_nodes.presets import Preset
from comfy_nodes.several import Ask
from comfy_nodes.wrapping import bare
from llm_bridge.chat import ChatRequest, Reply, Sampling
from llm_bridge.errors import BadAnswer, BadInput, NotInstalled, RequestRefused, SchemaMismatch
from llm_bridge.messages import Image, Message

__all__ = ["Expanded", "Expansion"]

_OF_PICTURE = "Write the prompt for what this picture shows."
_AS_TEXT = "Answer with the prompt alone: no introduction, no quotes, no explanation."
_AS_TEXT_TOO = ' After it comes the negative prompt, on a line of its own that begins with "Negative:".'
_NEGATIVE = re.compile(
    r"^[ \t]*(\*\*|__)?negative(?: prompt)?(?:\*\*|__)?[ \t]*:(?(1)(?:\*\*|__)?)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Expanded:
    """``negative`` is what the picture must not show, "" where nothing is said of it."""

    prompt: str
    negative: str = ""


@dataclass(frozen=True, slots=True)
class Expansion:
    """Of an idea, of pictures, or of both; ``language`` "" leaves it to the model. Raises: BadInput without either."""

    model: str
    style: Preset
    idea: str
    images: Sequence[Image] = ()
    language: str = ""

    def __post_init__(self) -> None:
        if not self.idea and not self.images:
            raise BadInput("There is no idea to expand.", hint="Write one, or link a picture.")

    def question(self, sampling: Sampling) -> Callable[[Ask], Awaitable[Expanded]]:
        """What asks for the prompt, drawn in this way. It raises BridgeError."""

        async def asked(ask: Ask) -> Expanded:
            try:
                reply = await ask(ChatRequest(self.model, self._as_json(), sampling, schema=self._schema))
            except (RequestRefused, SchemaMismatch, NotInstalled):
                # If it was refused for another reason, it will be once more, and that is raised.
                reply = await ask(ChatRequest(self.model, self._as_text(), sampling))
                return await asyncio.to_thread(_of_text, reply)
            return await asyncio.to_thread(_of_data, reply)

        return asked

    @property
    def _fields(self) -> list[str]:
        return ["prompt", "negative"] if self.style.negative else ["prompt"]

    @property
    def _schema(self) -> Mapping[str, Any]:
        properties = {field: {"type": "string"} for field in self._fields}
        return {
            "type": "object",
            "properties": properties,
            "required": self._fields,
            "additionalProperties": False,
        }

    def _as_json(self) -> tuple[Message, ...]:
        fields = " and ".join(f'"{field}"' for field in self._fields)
        shown = [
            json.dumps({field: getattr(example, field) for field in self._fields}, ensure_ascii=False)
            for example in self.style.examples
        ]
        return self._turns(f"Answer with nothing but a JSON object with {fields}.", shown)

    def _as_text(self) -> tuple[Message, ...]:
        negative = self.style.negative
        shown = [
            f"{example.prompt}\nNegative: {example.negative}" if negative else example.prompt
            for example in self.style.examples
        ]
        return self._turns(_AS_TEXT + _AS_TEXT_TOO * negative, shown)

    def _turns(self, form: str, shown: Sequence[str]) -> tuple[Message, ...]:
        language = [f"Write in {self.language}."] if self.language else []
        said: list[Message] = [Message.system("\n\n".join([self.style.text, *language, form]))]
        for example, answer in zip(self.style.examples, shown, strict=True):
            said += [Message.user(example.idea), Message.assistant(answer)]
        return (*said, Message.user(self.idea or _OF_PICTURE, self.images))


def _of_data(reply: Reply) -> Expanded:
    return _whole(reply, bare(reply.data["prompt"]), bare(reply.data.get("negative", "")))


def _of_text(reply: Reply) -> Expanded:
    text = bare(reply.text)
    found = _NEGATIVE.search(text)
    prompt, negative = (text, "") if found is None else (text[: found.start()], text[found.end() :])
    return _whole(reply, bare(prompt), bare(negative))


def _whole(reply: Reply, prompt: str, negative: str) -> Expanded:
    if not prompt:
        hint = "Raise max_tokens." if reply.finish == "length" else "Choose another model."
        raise BadAnswer(f"{reply.model or 'The model'} answered no prompt.", hint=hint)
    return Expanded(prompt, negative)
