"""Presets: a person's settings for one template under a name, one of which may stand for none.

Owns how they are kept and what they may hold. When they count is in settling.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import Preset
from comfy_mcp.store import JobStore, Record
from comfy_mcp.workflows import Catalogue, ObjectInfo, Template, checked, offered

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["OWN", "Presets", "presets_of"]

OWN = frozenset({"prompt", "image", "mask"})
"""What a call is about; nobody sets that for good."""

_KIND = "preset"
_NAME = re.compile(r"[\w][\w -]{0,63}")
_MOST_AROUND, _MOST_VALUES = 2_000, 10_000
_MOST = 100


class Presets:
    """The presets of a workbench."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    async def of(self, template: str, owner: str = "local") -> dict[str, Preset]:
        """The presets of a person for one template, by name."""
        return await presets_of(self._workbench.store, owner, template)

    async def save(self, preset: Preset, owner: str = "local") -> None:
        """Keep a preset, in the place of an earlier one of its name; one that is the default is the only one.

        Raises:
            NotFound: there is no such template or style.
            InvalidParameter: it has no such parameter, a value that fits nobody, or the person has 100 already.
        """
        workbench = self._workbench
        _check(workbench.catalogue.get(preset.template), preset, workbench.catalogue, workbench.known_info)
        kept = await workbench.store.records(owner, _KIND)
        if len(kept) >= _MOST and _key(preset) not in kept:
            raise InvalidParameter("name", f"There are {_MOST} presets already.", hint="Take a name that is there.")
        if preset.default:
            for other in (await self.of(preset.template, owner)).values():
                if other.default:
                    await self._keep(replace(other, default=False), owner)
        await self._keep(preset, owner)

    async def drop(self, template: str, name: str, owner: str = "local") -> bool:
        """Whether there was one."""
        return await self._workbench.store.drop_record(owner, _KIND, _key(Preset(template, name)))

    async def _keep(self, preset: Preset, owner: str) -> None:
        await self._workbench.store.keep_record(Record(owner, _KIND, _key(preset), asdict(preset)))


async def presets_of(store: JobStore, owner: str, template: str) -> dict[str, Preset]:
    """The presets of a person for one template, by name."""
    found = (Preset(**record) for record in (await store.records(owner, _KIND)).values())
    return {preset.name: preset for preset in found if preset.template == template}


def _check(template: Template, preset: Preset, catalogue: Catalogue, info: ObjectInfo | None) -> None:
    """Raises InvalidParameter when the template cannot take it, NotFound when there is no such style."""
    if not _NAME.fullmatch(preset.name):
        raise InvalidParameter("name", "name is no short name.", hint="Use up to 64 letters, digits, spaces, - and _.")
    for name, value in preset.values.items():
        if name in OWN or name not in template.parameters:
            hint = "That is what each call is about." if name in OWN else "describe_template lists them."
            raise InvalidParameter(name[:64], f"A preset of {template.id} cannot hold {name[:64]!r}.", hint=hint)
        parameter = template.parameters[name]
        checked(name, parameter, value, choices=offered(parameter, info))
    if preset.style is not None:
        catalogue.style(preset.style)
    for name, text in (("prefix", preset.prefix), ("suffix", preset.suffix), ("negative", preset.negative)):
        if len(text) > _MOST_AROUND or not text.replace("\n", " ").isprintable():
            hint = f"Give at most {_MOST_AROUND} letters, and no control characters."
            raise InvalidParameter(name, f"{name} cannot go around a prompt.", hint=hint)
    if len(str(preset.values)) > _MOST_VALUES:
        raise InvalidParameter("values", "That is too much for a preset.", hint="Leave long texts to each call.")


def _key(preset: Preset) -> str:
    return f"{preset.template}/{preset.name}"
