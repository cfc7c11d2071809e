"""The tools that tell what there is: templates, models and other choices, styles; and the form for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as types

from comfy_mcp.apps import form_for_page
from comfy_mcp.content import text_result
from comfy_mcp.errors import BadRequest, InvalidParameter, nearest
from comfy_mcp.texts import CHAT
from comfy_mcp.tools.arguments import TEMPLATE, object_of, schema, text_of
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.chat_values import CHAT_LISTED
from comfy_mcp.workbench.settling import fixed_in

__all__ = ["CATALOGUE_TOOLS"]

_SHOWN = 60
_KINDS = {
    "checkpoints": "CheckpointLoaderSimple.ckpt_name",
    "loras": "LoraLoader.lora_name",
    "diffusion_models": "UNETLoader.unet_name",
    "text_encoders": "CLIPLoader.clip_name",
    "vaes": "VAELoader.vae_name",
    "controlnets": "ControlNetLoader.control_net_name",
    "upscalers": "UpscaleModelLoader.model_name",
    "samplers": "KSampler.sampler_name",
    "schedulers": "KSampler.scheduler",
}
"""What can be listed, and where ComfyUI tells of it."""


async def _list_templates(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    catalogue = workbench.catalogue
    lines = [f"{name}: {template.description}" for name, template in catalogue.templates.items()]
    if workbench.settings.all_llm_servers:
        lines.append(f"{CHAT_LISTED['id']}: {CHAT_LISTED['description']}")
    lines += ["", "Styles: " + ", ".join(catalogue.styles)]
    lines += [f"Cannot be used: {diagnostic}" for diagnostic in catalogue.diagnostics if diagnostic.fatal]
    return text_result("\n".join(lines))


async def _describe_template(
    workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]
) -> types.CallToolResult:
    template = text_of(arguments, "template")
    told = await workbench.describe(template, fresh=True)
    lines = [f"{template}: {told['description']}"]
    lines += [_parameter_line(parameter) for parameter in told["parameters"]]
    if told["style"]:
        lines.append("- style (text): A style preset; list_styles tells of them.")
    presets = await workbench.presets.of(template, caller.owner)
    if presets:
        shown = ", ".join(
            f"{name} (used unless another is named)" if p.default else name for name, p in presets.items()
        )
        lines.append(f"- preset (text): {shown}")
    return text_result("\n".join(lines))


def _parameter_line(parameter: Mapping[str, Any]) -> str:
    facts = [parameter["type"]]
    facts += [
        f"{name} {parameter[name]}" for name in ("default", "min", "max", "step") if parameter.get(name) is not None
    ]
    if choices := parameter.get("choices"):
        more = f", … {len(choices)} in all; list_models searches them" if len(choices) > _SHOWN else ""
        facts.append("one of " + ", ".join(map(str, choices[:_SHOWN])) + more)
    return f"- {parameter['name']} ({'; '.join(facts)}): {parameter.get('help') or parameter.get('label', '')}"


async def _list_models(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    kind, search, kinds = text_of(arguments, "kind", ""), text_of(arguments, "search", "").casefold(), _kinds(workbench)
    if kind and kind not in kinds:
        alike = nearest(kind, kinds) or list(kinds)
        raise InvalidParameter("kind", f"There is no kind {kind[:64]!r}.", hint=f"Nearest: {', '.join(alike)}.")
    infos = await workbench.pool.object_infos()
    lines: list[str] = []
    for name, reference in kinds.items():
        if kind in ("", name):
            offered = dict.fromkeys(str(choice) for info in infos for choice in info.choices(reference) or ())
            found = [choice for choice in offered if search in choice.casefold()]
            lines += _listed(name, found, len(offered), one=bool(kind))
    return text_result("\n".join(lines) or "Nothing of that name.")


def _kinds(workbench: Workbench) -> dict[str, str]:
    """Also what the templates of this workbench take besides, by the name of their parameter."""
    kinds = dict(_KINDS)
    for template in workbench.catalogue.templates.values():
        for name, parameter in template.parameters.items():
            if parameter.choices_from and parameter.choices_from not in kinds.values():
                kinds.setdefault(name, parameter.choices_from)
    return kinds


def _listed(kind: str, found: list[str], total: int, *, one: bool) -> list[str]:
    """All of one kind, or the first few of each."""
    if not found:
        return [f"{kind}: none of {total}"] if one else []
    most = _SHOWN if one else 5
    more = f", … {len(found)} in all" if len(found) > most else ""
    return [f"{kind}: {', '.join(found[:most])}{more}"]


async def _list_styles(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    lines = [f"{name}: {style.description or style.title}" for name, style in workbench.catalogue.styles.items()]
    return text_result("\n".join(lines) or "There are no styles.")


async def _open_form(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    if (name := text_of(arguments, "template", "txt2img")) == CHAT:
        raise InvalidParameter("template", "There is no form for a chat.", hint="run_template asks a model.")
    template = workbench.catalogue.get(name)
    if not caller.budget.structured:
        raise BadRequest(
            "This chat shows no forms.", hint=f"describe_template tells what {name} takes, run_template runs it."
        )
    values = object_of(arguments, "values")
    described = await workbench.describe(template.id)
    named = {"id": template.id, "title": template.title, "description": template.description}
    locked = fixed_in(workbench.settings.locked, template.id)
    text = f"The person sees a form for {template.id} now. What they make with it comes back by itself."
    return types.CallToolResult(
        content=[types.TextContent(text=text)],
        structured_content={"view": "form", "template": named, "values": values},
        _meta=form_for_page(described, styles=_styles(workbench), values=values, locked=locked),
    )


def _styles(workbench: Workbench) -> list[dict[str, Any]]:
    found = workbench.catalogue.styles.items()
    return [{"id": name, "title": style.title, "description": style.description} for name, style in found]


CATALOGUE_TOOLS = (
    Tool(
        name="list_templates",
        description="Everything that can be made here.",
        schema=schema(),
        run=_list_templates,
        read_only=True,
    ),
    Tool(
        name="describe_template",
        description="All parameters of a template with ranges and choices.",
        schema=schema(template=TEMPLATE),
        run=_describe_template,
        read_only=True,
    ),
    Tool(
        name="list_models",
        description="Search checkpoints, LoRAs, samplers and more.",
        schema=schema(
            kind={"type": "string", "description": "Such as loras.", "optional": True},
            search={"type": "string", "description": "Part of a name.", "optional": True},
        ),
        run=_list_models,
        read_only=True,
    ),
    Tool(
        name="list_styles",
        description="The style presets and what they look like.",
        schema=schema(),
        run=_list_styles,
        read_only=True,
    ),
    Tool(
        name="open_form",
        description="Show a form to paint with.",
        schema=schema(
            template={**TEMPLATE, "optional": True},
            values={"type": "object", "description": "To begin with.", "optional": True},
        ),
        run=_open_form,
        read_only=True,
        shown=True,
        for_apps=True,
    ),
)
