"""What can be chosen now by the template that serves a kind of request.

Owns the rule of this front door: what is listed can be chosen, and what cannot be chosen is not listed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio

from comfy_mcp.errors import InvalidParameter, MissingModel, WorkbenchError
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import ObjectInfo, Template, checked, offered

__all__ = ["Offers", "bare", "offers_of", "without_hash"]

_PATIENCE_SECONDS = 2.0
_HASH = re.compile(r"\[[0-9a-fA-F]{6,64}\]$")
_ENDING = re.compile(r"\.(safetensors|sft|ckpt|pt2?|pth|bin|gguf|onnx|pkl)$", re.IGNORECASE)
_MOST_TITLE = 512
"""Letters; what is longer is no title of a file, and is told as unknown."""
_MODELS = ("checkpoint", "diffusion_model")


@dataclass(frozen=True, slots=True)
class Offers:
    """``info`` is None when no ComfyUI ever answered."""

    template: Template
    info: ObjectInfo | None

    @property
    def model(self) -> str | None:
        """The parameter that A1111 would call the checkpoint."""
        return next((name for name in _MODELS if name in self.template.parameters), None)

    def choices(self, parameter: str) -> list[str] | None:
        """What a parameter can be; nothing when there is no such parameter, None when nobody knows."""
        told = self.template.parameters.get(parameter)
        if told is None:
            return []
        found = offered(told, self.info)
        return None if found is None else [str(choice) for choice in found]

    def match(self, parameter: str, value: Any) -> Any:
        """The choice that is meant, or None when there is none."""
        told = self.template.parameters.get(parameter)
        if told is None:
            return None
        try:
            return checked(parameter, told, value, choices=offered(told, self.info))
        except (InvalidParameter, MissingModel):
            return None


async def offers_of(workbench: Workbench, template: str) -> Offers:
    """What can be chosen, at most a minute old, or as it was when a ComfyUI last answered. Raises NotFound."""
    found, info = workbench.catalogue.get(template), None
    # When it is down, lists and the answer to a job's request say so each in their own way.
    with anyio.move_on_after(_PATIENCE_SECONDS), suppress(WorkbenchError):
        info = await workbench.object_info()
    return Offers(found, info or workbench.known_info)


def bare(name: str) -> str:
    """The name of a model without the ending of its file."""
    return _ENDING.sub("", name)


def without_hash(title: str) -> str:
    """A1111's title of a checkpoint, `name.safetensors [6ce0161689]`, without the hash."""
    if len(title) > _MOST_TITLE:
        return title
    found = _HASH.search(stripped := title.rstrip())
    return stripped[: found.start()].rstrip() if found else title
