"""Whose word counts: the administrator's locks, what a person has set, what the call asks for, and the defaults.

Owns the order, strongest first: locked > sent with every call (header, variable) > preset > argument > default of the
template. What a person has set and does not fit is left out and told of, never an error: a header goes with every
call, also with those of a template that has no such parameter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from comfy_mcp.errors import InvalidParameter, NotFound, nearest
from comfy_mcp.jobs import JobRequest, Preset
from comfy_mcp.store import JobStore
from comfy_mcp.workbench.presets import OWN, presets_of
from comfy_mcp.workflows import Around, Template

__all__ = ["EVERY", "Laid", "Settled", "Takes", "fixed_in", "settled"]

EVERY = "*"
"""In the setting ``locked``: every template."""

_ADMINISTRATOR = "the administrator"
_AROUND = ("prefix", "suffix", "negative")


@dataclass(frozen=True, slots=True)
class Laid:
    """What it all comes to; ``whose`` word each value is that the caller did not give."""

    values: dict[str, Any]
    style: str | None
    around: Around
    whose: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Takes:
    """What stands for a template where there is none: its id and the names of its parameters."""

    id: str
    parameters: Collection[str]
    takes_style: bool = False


@dataclass(slots=True)
class Settled:
    """The arguments of a call and what is laid over them, weakest first."""

    template: Template | Takes
    arguments: dict[str, Any]
    style: str | None
    layers: list[tuple[dict[str, Any], str]]
    left_out: list[str] = field(default_factory=list[str])

    def laid(self) -> Laid:
        """Each layer over those before it."""
        values, style, around = dict(self.arguments), self.style, Around()
        whose: dict[str, str] = {}
        notes = list(self.left_out)
        for layer, owner in self.layers:
            around = around.inside(Around(*(str(layer.get(part) or "") for part in _AROUND)))
            for name, value in layer.items():
                if name == "style" and self.template.takes_style:
                    notes += _differs(name, value, style, owner)
                    style, whose[name] = str(value), owner
                elif name in self.template.parameters and name not in OWN and name not in _AROUND:
                    notes += _differs(name, value, values.get(name), owner)
                    values[name], whose[name] = value, owner
        return Laid(values, style, around, whose, tuple(notes))

    def without(self, failure: InvalidParameter) -> bool:
        """Leave out what a person has set and does not fit; False when it is not their setting that is at fault."""
        name = failure.parameter
        for layer, owner in reversed(self.layers):
            if name in layer:
                if owner == _ADMINISTRATOR:
                    return False
                del layer[name]
                self.left_out.append(f"{name} by {owner} was left out: {failure.message}")
                return True
        return False


def _differs(name: str, value: Any, other: Any, owner: str) -> list[str]:
    return [] if other in (None, "") or str(value) == str(other) else [f"{name} is {value} by {owner}, not {other}."]


async def settled(
    template: Template | Takes, request: JobRequest, store: JobStore, locked: Mapping[str, Mapping[str, Any]]
) -> Settled:
    """The request with all that is laid over it. Raises NotFound for a preset that its owner does not have."""
    layers: list[tuple[dict[str, Any], str]] = []
    preset = await _preset(template, request, store)
    if preset is not None:
        own = {**preset.values, "style": preset.style, **{part: getattr(preset, part) for part in _AROUND}}
        layers.append((_set(own, request.free), f"the preset {preset.name}"))
    layers.append((_set(request.standing, request.free), "your settings"))
    layers += [(_set(locked.get(table, {}), frozenset()), _ADMINISTRATOR) for table in (EVERY, template.id)]
    return Settled(template, _set(request.values, frozenset(), keep_empty=True), request.style, layers)


def fixed_in(locked: Mapping[str, Mapping[str, Any]], template: str) -> dict[str, Any]:
    """What the administrator has fixed for every call of a template, for forms that show it."""
    both = {**_set(locked.get(EVERY, {}), frozenset()), **_set(locked.get(template, {}), frozenset())}
    return {name: value for name, value in both.items() if name not in OWN}


def _set(layer: Mapping[str, Any], free: frozenset[str], *, keep_empty: bool = False) -> dict[str, Any]:
    """What a layer says; nothing and an empty text say nothing (but in a call an empty prompt is one)."""
    empty = (None,) if keep_empty else (None, "")
    return {name: value for name, value in layer.items() if value not in empty and name not in free}


async def _preset(template: Template | Takes, request: JobRequest, store: JobStore) -> Preset | None:
    """The preset that the person sends with every call, where there is one; else the call's; else the default."""
    chosen = request.standing.get("preset")
    if request.preset is None and chosen is None and not request.default_preset:
        return None
    presets = await presets_of(store, request.owner, template.id)
    if chosen is not None and chosen in presets:
        return presets[chosen]
    if request.preset is None:
        return next((preset for preset in presets.values() if preset.default and request.default_preset), None)
    if request.preset not in presets:
        known = nearest(request.preset[:64], presets) or list(presets)[:8]
        hint = f"There are: {', '.join(known)}." if known else "save_preset makes one."
        raise NotFound(f"There is no preset {request.preset[:64]!r} for {template.id}.", hint=hint)
    return presets[request.preset]
