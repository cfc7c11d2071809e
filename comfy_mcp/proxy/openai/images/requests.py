"""What a request for pictures says, field by field, as JSON or as a form: read, checked and put into words of our own.

Owns the fields of OpenAI's images API (openai-python, types/image_generate_params.py and image_edit_params.py). What is
left over are parameters of the template, under their own names or those that other front ends have for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_mcp.errors import InvalidParameter

__all__ = ["MOST_PARTIALS", "Look", "Wish", "wish_of"]

MOST_PARTIALS = 3
_MOST_PICTURES = 10
_MOST_PROMPT = 100_000
_SIZE = re.compile(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_FLAGS = {"true": True, "false": False, "1": True, "0": False}
_FORMATS = ("png", "jpeg", "webp")
_OURS = frozenset(
    {
        "prompt",
        "model",
        "n",
        "size",
        "quality",
        "style",
        "background",
        "output_format",
        "output_compression",
        "response_format",
        "stream",
        "partial_images",
    }
)
_NAMES = {
    "negative_prompt": "negative",
    "cfg_scale": "cfg",
    "sampler_name": "sampler",
    # LobeHub, packages/model-bank: RuntimeImageGenParams.
    "samplerName": "sampler",
    "strength": "denoise",
}
"""What other front ends call a parameter that every template of ours calls otherwise."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the pictures are answered: ``format`` is png, jpeg or webp, ``compression`` 0 to 100 of the last two."""

    format: str = "png"
    compression: int | None = None
    url: bool = False
    quality: str = "auto"

    @property
    def mime(self) -> str:
        return f"image/{self.format}"

    @property
    def encoding(self) -> int | None:
        """The quality that the picture is to be encoded with; None where that is left to us."""
        return None if self.format == "png" else self.compression


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that was read. ``partials`` is None for who wants no stream. ``background`` is None for any.

    ``more`` are parameters of the template, by their names in our templates, not checked yet.
    """

    prompt: str
    model: str
    n: int | None
    size: tuple[int, int] | None
    style: str | None
    background: str | None
    look: Look
    partials: int | None
    more: Mapping[str, Any]


def wish_of(told: Mapping[str, Any]) -> Wish:
    """Read the fields of a body; what is null or an empty text was not given.

    Raises:
        InvalidParameter: a field is missing or holds what it cannot; it is named.
    """
    fields = _Fields(told)
    model = fields.text("model") or ""
    style = fields.text("style")
    background = fields.text("background")
    return Wish(
        prompt=_prompt(fields),
        model=model,
        n=fields.whole("n", 1, _MOST_PICTURES),
        size=_size(fields),
        style=style,
        background=None if background in ("auto", "opaque") else background,
        look=_look(fields, model),
        partials=_partials(fields),
        more=_more(told),
    )


class _Fields:
    """A field at a time, of the type that it must have. Numbers and flags may come as texts: a form has no others."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = {name: value for name, value in told.items() if value not in (None, "")}

    def text(self, name: str) -> str | None:
        value = self._told.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidParameter(name, f"{name} is not a text.", hint="Give a text.")
        return value

    def one_of(self, name: str, choices: Sequence[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            raise InvalidParameter(name, f"{name} cannot be {value[:64]!r}.", hint=f"Give {', '.join(choices)}.")
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        value = self._told.get(name)
        if value is None:
            return None
        number = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise InvalidParameter(name, f"{name} is not a whole number from {low} to {high}.", hint="Give one.")
        return number

    def flag(self, name: str) -> bool:
        value = self._told.get(name, False)
        value = _FLAGS.get(value.lower(), value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise InvalidParameter(name, f"{name} is neither true nor false.", hint="Give true or false.")
        return value


def _prompt(fields: _Fields) -> str:
    prompt = fields.text("prompt")
    if prompt is None or not prompt.strip():
        raise InvalidParameter("prompt", "prompt is missing.", hint="Say what the picture shows.")
    if len(prompt.encode()) > _MOST_PROMPT:
        raise InvalidParameter("prompt", "prompt is too long.", hint=f"Give at most {_MOST_PROMPT} bytes.")
    return prompt


def _size(fields: _Fields) -> tuple[int, int] | None:
    size = fields.text("size")
    if size is None or size == "auto":
        return None
    found = _SIZE.fullmatch(size)
    if found is None:
        raise InvalidParameter("size", f"size cannot be {size[:64]!r}.", hint="Give auto, or such as 1024x1024.")
    return int(found[1]), int(found[2])


def _look(fields: _Fields, model: str) -> Look:
    answer = fields.one_of("response_format", ("b64_json", "url"))
    # OpenAI's older models answered addresses when nothing was said; LibreChat's DALLE3.js reads only those.
    url = model.startswith("dall-e") if answer is None else answer == "url"
    return Look(
        format=fields.one_of("output_format", _FORMATS) or "png",
        compression=fields.whole("output_compression", 0, 100),
        url=url,
        quality=fields.text("quality") or "auto",
    )


def _partials(fields: _Fields) -> int | None:
    partials = fields.whole("partial_images", 0, MOST_PARTIALS) or 0
    return partials if fields.flag("stream") else None


def _more(told: Mapping[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in told.items() if value is not None and name not in _OURS}
    return {_NAMES[name]: value for name, value in more.items() if name in _NAMES} | more
