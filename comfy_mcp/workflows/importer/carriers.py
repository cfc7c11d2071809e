"""A workflow out of whatever carries it: JSON of either format, or a picture that ComfyUI saved.

Owns the carriers and their limits; files come from strangers. What is found is parsed, not understood.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image, UnidentifiedImageError

from comfy_mcp.errors import ConversionError, TooLarge

__all__ = ["Carried", "read_carrier"]

_MOST_BYTES = 64 << 20
_MOST_TEXT = 16 << 20
_MODEL_TAG, _MAKE_TAG = 0x0110, 0x010F


@dataclass(frozen=True)
class Carried:
    """An API-format graph, or a workflow of the canvas, or both."""

    prompt: dict[str, Any] | None = None
    workflow: dict[str, Any] | None = None


def read_carrier(data: bytes) -> Carried:
    """What a file carries.

    Raises:
        ConversionError: it carries no workflow.
        TooLarge: more than 64 MiB.
    """
    if len(data) > _MOST_BYTES:
        raise TooLarge("The file is larger than 64 MiB.", hint="Give the workflow itself, or a smaller picture.")
    if data[:8] == b"\x89PNG\r\n\x1a\n" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return _from_texts(_texts_in_picture(data))
    told = _parse(data.decode("utf-8", "replace").lstrip("\ufeff"))
    if told is None:
        raise ConversionError(
            "This is neither JSON nor a PNG or WebP.", hint="Export the workflow from ComfyUI, or give a saved picture."
        )
    if isinstance(told.get("nodes"), list):
        return Carried(workflow=told)
    if told and all(isinstance(node, dict) and "class_type" in node for node in told.values()):
        return Carried(prompt=told)
    if isinstance(told.get("prompt"), dict):
        return Carried(prompt=told["prompt"])
    raise ConversionError(
        "The JSON is no workflow.", hint="In ComfyUI choose Workflow, Export or Export (API), and give that file."
    )


def _parse(text: str) -> dict[str, Any] | None:
    """Leniently: ComfyUI writes NaN into pictures."""
    try:
        told = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], told) if isinstance(told, dict) else None


def _texts_in_picture(data: bytes) -> dict[str, str]:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "WEBP")) as picture:
            texts = {str(key).lower(): value for key, value in picture.info.items() if isinstance(value, str)}
            exif = picture.getexif()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ConversionError("The picture cannot be read.", hint="Give the file as ComfyUI saved it.") from None
    for tag in range(_MODEL_TAG, _MAKE_TAG - 8, -1):
        key, separator, value = str(exif.get(tag, "")).partition(":")
        if separator:
            texts.setdefault(key.lower(), value)
    return texts


def _from_texts(texts: dict[str, str]) -> Carried:
    found = {key: texts[key] for key in ("prompt", "workflow") if len(texts.get(key, "")) in range(1, _MOST_TEXT)}
    prompt, workflow = _parse(found.get("prompt", "")), _parse(found.get("workflow", ""))
    if prompt is None and workflow is None:
        raise ConversionError(
            "The picture carries no workflow.",
            hint="Pictures from a chat or a browser lose it; take the one that ComfyUI saved.",
        )
    return Carried(prompt, workflow)
