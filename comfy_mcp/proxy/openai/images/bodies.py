"""The bodies of `/v1/images` for the page of the API; the handlers read them themselves, and more strictly."""

from __future__ import annotations

from typing import Any

__all__ = ["EDIT_BODY", "GENERATION_BODY"]

_FIELDS: dict[str, Any] = {
    "prompt": {"type": "string", "minLength": 1, "description": "What the picture shows."},
    "model": {
        "type": "string",
        "description": "`workflow/ID` or the ID of a template; any other name stands for the one of the settings.",
    },
    "n": {"type": "integer", "minimum": 1, "maximum": 10},
    "size": {"type": "string", "description": "`auto`, or such as `1024x1024`: any size that the template takes."},
    "quality": {
        "type": "string",
        "description": "The name of one of your presets; where you have none of it, OpenAI's words change nothing.",
    },
    "style": {"type": "string", "description": "A style of the workbench; `vivid` and `natural` change nothing."},
    "background": {"type": "string", "enum": ["auto", "opaque", "transparent"]},
    "output_format": {"type": "string", "enum": ["png", "jpeg", "webp"]},
    "output_compression": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Quality of JPEG and WebP."},
    "response_format": {"type": "string", "enum": ["b64_json", "url"]},
    "stream": {"type": "boolean"},
    "partial_images": {"type": "integer", "minimum": 0, "maximum": 3, "description": "Previews in a stream."},
}
_EXAMPLE = {"prompt": "a lighthouse at dusk", "size": "1024x1024", "n": 1}
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_REFERENCE: dict[str, Any] = {
    "type": "object",
    "properties": {"image_url": {"type": "string"}, "file_id": {"type": "string"}},
}


def _schema(required: list[str], **more: Any) -> dict[str, Any]:
    # Whatever else is there goes to the parameter of the template that is called so.
    return {"type": "object", "required": required, "properties": _FIELDS | more, "additionalProperties": True}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


GENERATION_BODY = _body({"application/json": {"schema": _schema(["prompt"]), "example": _EXAMPLE}})
EDIT_BODY = _body(
    {
        "multipart/form-data": {
            "schema": _schema(["prompt", "image"], image={"type": "array", "items": _FILE, "maxItems": 16}, mask=_FILE)
        },
        "application/json": {
            "schema": _schema(
                ["prompt", "images"], images={"type": "array", "items": _REFERENCE, "maxItems": 16}, mask=_REFERENCE
            )
        },
    }
)
