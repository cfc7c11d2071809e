"""What the form of a tool says, once it is read: values, a style, and the preset that goes around the prompt.

Owns how a form becomes a request. Values are checked where all values are, on submitting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comfy_mcp.jobs import JobRequest
from comfy_mcp.ui.forms import values_of
from comfy_mcp.workbench import Workbench

__all__ = ["ACTIVE_PRESET", "Said", "preset_said", "read_form", "request_of"]

ACTIVE_PRESET = "_preset"
"""The field with the name of the preset that the form was filled with; no parameter can be called so."""

_AROUND = frozenset({"negative"})
"""What a preset has around a prompt and a template may have as a parameter: both count."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a form says. ``preset`` is "" where none goes around the prompt; ``described`` tells of the template."""

    template: str
    described: Mapping[str, Any]
    values: dict[str, Any]
    style: str | None
    preset: str

    @property
    def parameters(self) -> list[str]:
        return [told["name"] for told in self.described["parameters"]]

    @property
    def asked(self) -> dict[str, Any]:
        """The values for a job: where seeds are drawn anyway, nothing is said of one that is to be drawn."""
        drawn = {
            told["name"] for told in self.described["parameters"] if told["type"] == "seed" and told["default"] is None
        }
        return {name: value for name, value in self.values.items() if name not in drawn or value != -1}

    @property
    def settings(self) -> dict[str, Any]:
        """The values without seeds that are to be drawn: nothing is said of those."""
        seeds = {told["name"] for told in self.described["parameters"] if told["type"] == "seed"}
        return {name: value for name, value in self.values.items() if name not in seeds or value != -1}

    @property
    def filled(self) -> dict[str, Any]:
        """What a form is filled with to say the same."""
        return {**self.settings, **({"style": self.style} if self.style else {})}


async def read_form(workbench: Workbench, template: str, fields: Mapping[str, str]) -> Said:
    """What the fields say. Raises NotFound, BackendUnavailable, and InvalidParameter for what is no value at all."""
    described = await workbench.describe(template)
    values = values_of(described, fields)
    style = fields.get("style") or None if described["style"] else None
    return Said(template, described, values, style, fields.get(ACTIVE_PRESET, "")[:64])


async def preset_said(workbench: Workbench, template: str, owner: str, name: str) -> dict[str, str]:
    """What an address says of the preset of this name, "" for none: nothing where it is none anyway."""
    presets = await workbench.presets.of(template, owner)
    return {"preset": name} if name or any(preset.default for preset in presets.values()) else {}


def request_of(said: Said, owner: str) -> JobRequest:
    """The request for a job: the form counts, and of the preset only what goes around the prompt."""
    free = frozenset(said.parameters) - _AROUND | {"style"}
    return JobRequest(
        said.template,
        said.asked,
        style=said.style,
        owner=owner,
        preset=said.preset or None,
        free=free if said.preset else frozenset(),
    )
