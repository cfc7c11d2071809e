"""The tool `save_preset`: a person's settings for one template, kept under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as types

from comfy_mcp.content import text_result
from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import Preset
from comfy_mcp.texts import CHAT
from comfy_mcp.tools.arguments import TEMPLATE, object_of, schema, text_of
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.workbench import Workbench

__all__ = ["SAVE_PRESET"]

_AROUND = ("prefix", "suffix", "negative")


async def _save_preset(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    if arguments.get("template") == CHAT:
        raise InvalidParameter("template", "A chat has no presets.", hint="Give its values with each call.")
    values = object_of(arguments, "values")
    style = values.pop("style", None)
    around = {name: values.pop(name, "") or "" for name in _AROUND}
    for name, value in {**around, "style": style or ""}.items():
        if not isinstance(value, str):
            raise InvalidParameter(name, f"{name} is not a text.", hint="Give a text, or leave it out.")
    preset = Preset(
        template=text_of(arguments, "template"),
        name=text_of(arguments, "name").strip(),
        values=values,
        style=style or None,
        default=arguments.get("default") is True,
        **around,
    )
    await workbench.presets.save(preset, caller.owner)
    how = "It is used from now on unless another is named." if preset.default else f'Give preset "{preset.name}".'
    return text_result(f"Saved the preset {preset.name} for {preset.template}. {how}")


SAVE_PRESET = Tool(
    name="save_preset",
    description="Keep settings of a template under a name.",
    schema=schema(
        template=TEMPLATE,
        name={"type": "string", "description": "A short name."},
        values={
            "type": "object",
            "description": "Parameters, style, prefix, suffix, negative.",
        },
        default={"type": "boolean", "description": "Use it always.", "optional": True},
    ),
    run=_save_preset,
)
