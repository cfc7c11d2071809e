"""Whose word counts: the administrator's locks, what a person has set, what the call asks for, and the defaults.

Owns the order, strongest first: locked > sent with every call (header, variable) > preset > argument > default of the
template. What a person has set and does not fit is left out and told of, never an error: a header goes with every
call, also with those of a template that has no such parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from comfy_mcp.errors import InvalidParameter, NotFound, nearest
from comfy_mcp.jobs import JobRequest, Preset
from comfy_mcp.store import JobStore
from comfy_mcp.workbench.presets import OWN, presets_of
from comfy_mcp.workflows import Around, Template

__all__ = ["EVERY", "Settled", "settled"]

EVERY = "*"
"""In the setting ``locked``: every template."""

_ADMINISTRATOR = "the administrator"
_AROUND = ("prefix", "suffix", "negative")


@dataclass(slots=True)
class Settled:
    """The values to bind, and ``whose`` word each is that the caller did not give."""

    values: dict[str, Any]
    style: str | None
    around: Around = field(default_factory=Around)
    whose: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])

    def without(self, failure: InvalidParameter, request: JobRequest) -> bool:
        """Go back to what was asked for where a person's own setting does not fit; False when it is not at fault."""
        name = failure.parameter
        whose = self.whose.get(name)
        if whose in (None, _ADMINISTRATOR):
            return False
        del self.whose[name]
        self.notes.append(f"{name} by {whose} was left out: {failure.message}")
        if name == "style":
            self.style = request.style
        elif name in request.values:
            self.values[name] = request.values[name]
        else:
            self.values.pop(name, None)
        return True


async def settled(
    template: Template, request: JobRequest, store: JobStore, locked: Mapping[str, Mapping[str, Any]]
) -> Settled:
    """What the request comes to. Raises NotFound when it names a preset that its owner does not have."""
    told = Settled(dict(request.values), request.style)
    preset = await _preset(template, request, store)
    if preset is not None:
        own = {**preset.values, "style": preset.style}
        _lay(told, template, _except(own, request.free), f"the preset {preset.name}")
        told.around = Around(preset.prefix, preset.suffix, preset.negative)
    layers: list[tuple[Mapping[str, Any], str]] = [(_except(request.standing, request.free), "your settings")]
    layers += [(locked.get(table, {}), _ADMINISTRATOR) for table in (EVERY, template.id)]
    for layer, whose in layers:
        _lay(told, template, layer, whose)
        told.around = told.around.inside(Around(*(str(layer.get(part) or "") for part in _AROUND)))
    return told


def _except(layer: Mapping[str, Any], free: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in layer.items() if name not in free}


def _lay(told: Settled, template: Template, layer: Mapping[str, Any], whose: str) -> None:
    """Put one layer over what there is so far."""
    for name, value in layer.items():
        if value is None or name in OWN or name in _AROUND:
            continue
        if name == "style" and template.takes_style:
            if told.style not in (None, value):
                told.notes.append(f"style is {value} by {whose}, not {told.style}.")
            told.style, told.whose["style"] = str(value), whose
        elif name in template.parameters:
            if str(told.values.get(name, value)) != str(value):
                told.notes.append(f"{name} is {value} by {whose}, not {told.values[name]}.")
            told.values[name], told.whose[name] = value, whose


async def _preset(template: Template, request: JobRequest, store: JobStore) -> Preset | None:
    """The preset that the call names; else the one that the person does, where there is one; else the default."""
    chosen = request.standing.get("preset")
    if request.preset is None and chosen is None and not request.default_preset:
        return None
    presets = await presets_of(store, request.owner, template.id)
    if request.preset is None:
        usual = next((preset for preset in presets.values() if preset.default and request.default_preset), None)
        return presets.get(chosen or "", usual)
    if request.preset not in presets:
        known = nearest(request.preset[:64], presets) or list(presets)[:8]
        hint = f"There are: {', '.join(known)}." if known else "save_preset makes one."
        raise NotFound(f"There is no preset {request.preset[:64]!r} for {template.id}.", hint=hint)
    return presets[request.preset]
