"""Model List, Prompt List and Parameter Grid: what LLM Compare compares, and lists that drive other nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from comfy_nodes.host import Running
from comfy_nodes.naming import is_auto, is_pattern, models_of
from comfy_nodes.nodes import widgets
from comfy_nodes.pictures import images_of
from comfy_nodes.schemas import schema_of
from comfy_nodes.servers import the_servers
from comfy_nodes.thread import handed_over, on_bridge
from comfy_nodes.values import Models, Parameters, Prompts, Provider
from llm_bridge.compare import Prompt, Variant, prompts_of, variants_of
from llm_bridge.errors import BadInput, BridgeError

__all__ = ["ModelList", "ParameterGrid", "PromptList"]

_FORMS = {"lines or blocks": "txt", "one prompt": "", "JSON lines": "jsonl", "CSV": "csv", "TOML": "toml"}
_LOOK_SECONDS = 1.0
"""How long the start of a graph waits to hear what patterns stand for: nobody can stop it meanwhile."""


class ModelList:
    """Several models, by name or by pattern."""

    DISPLAY_NAME = "Model List"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "Several models: for LLM Compare, or, as a list of names, to run LLM Generate once for each."
    RETURN_TYPES = ("LLM_MODELS", "STRING")
    RETURN_NAMES = ("models", "names")
    OUTPUT_TOOLTIPS = ("The models.", "Their names, one after the other.")
    OUTPUT_IS_LIST = (False, True)
    FUNCTION = "name"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = (
            "One in each line: a name as the server has it, server/model, a pattern such as qwen*, * for all, *:vision "
            "for all that see, or auto for the one that is best at hand."
        )
        return {
            "required": {"models": ("STRING", {"default": "*", "multiline": True, "tooltip": tip})},
            "optional": {"provider": ("LLM_PROVIDER", {"tooltip": "Without one, the models of every server."})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    @classmethod
    async def IS_CHANGED(cls, models: str | None = None, **_: Any) -> float | str:
        """What patterns stand for now.

        Names never change, so that no server is asked. For patterns NaN would do, but then all that comes after them
        would run again with every graph; so the servers are asked, and ComfyUI keeps what it has while they offer the
        same. Of those that do not tell in time the node says what is wrong. The provider is a link, which is not known
        here: all servers are more than enough. So are all models for auto, whose choice is kept.
        """
        if models is None:
            return float("nan")
        patterns = ["*" if is_auto(line) else line for line in _lines(models) if is_auto(line) or is_pattern(line)]
        if not patterns:
            return ""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return "\n".join(sorted(await handed_over(_fitting(patterns))))
        except (BridgeError, TimeoutError):
            return float("nan")

    async def name(
        self, *, models: str, provider: Provider | None = None, unique_id: str | None = None
    ) -> tuple[Models, list[str]]:
        lines = _lines(models)
        if not lines:
            raise BadInput("There is no model in the list.", hint="Write a name in each line, or * for all.")
        found = await on_bridge(Running(unique_id), lambda: models_of(provider or Provider(), lines))
        return Models(found), list(found)


async def _fitting(patterns: Sequence[str]) -> tuple[str, ...]:
    return await (await the_servers()).resolve(Provider(), patterns)


def _lines(text: str) -> list[str]:
    """One in each line, or with commas between them, as chats write lists."""
    return [name.strip() for line in text.splitlines() for name in line.split(",") if name.strip()]


class PromptList:
    """Several prompts, and pictures that each of them is about."""

    DISPLAY_NAME = "Prompt List"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "Several prompts: for LLM Compare, or, as a list of texts, to run other nodes once for each."
    RETURN_TYPES = ("LLM_PROMPTS", "STRING")
    RETURN_NAMES = ("prompts", "texts")
    OUTPUT_TOOLTIPS = ("The prompts.", "Their texts, one after the other.")
    OUTPUT_IS_LIST = (False, True)
    FUNCTION = "ask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = (
            "One in each line; or blocks of lines with a line --- between them; or all of it as one prompt. JSON "
            "lines, CSV and TOML have prompt, and optionally name, system and expected, which a judge is told."
        )
        return {
            "required": {
                "prompts": widgets.text(tip),
                "written_as": (list(_FORMS), {"tooltip": "How the prompts are written."}),
            },
            "optional": {
                "system": widgets.text("For prompts that have none of their own."),
                "images": ("IMAGE", {"tooltip": "Every prompt is asked about every picture. For models that see."}),
                "more": ("LLM_PROMPTS", {"tooltip": "Prompts of another list, which come before these."}),
            },
        }

    async def ask(
        self,
        *,
        prompts: str,
        written_as: str = "lines or blocks",
        system: str = "",
        images: Any = None,
        more: Prompts | None = None,
    ) -> tuple[Prompts, list[str]]:
        given = await asyncio.to_thread(_written, prompts, _FORMS[written_as])
        asked = [prompt if prompt.system else replace(prompt, system=system) for prompt in given]
        if images is not None:
            asked = await asyncio.to_thread(_about, images, asked)
        listed = _named_apart((*(more.prompts if more else ()), *asked))
        return Prompts(listed), [prompt.text for prompt in listed]


def _written(text: str, form: str) -> tuple[Prompt, ...]:
    """In this form; "" is one prompt."""
    if not form and text.strip():
        return (Prompt("prompt 1", text.strip()),)
    return prompts_of(text, form or "txt")


def _about(images: Any, prompts: Sequence[Prompt]) -> list[Prompt]:
    pictures = enumerate(images_of(images), 1)
    return [
        replace(prompt, name=f"picture {number}" + (f" · {prompt.name}" if len(prompts) > 1 else ""), images=(picture,))
        for number, picture in pictures
        for prompt in prompts
    ]


def _named_apart(prompts: Iterable[Prompt]) -> tuple[Prompt, ...]:
    """Lists number their prompts each for itself; of two names that are the same the later one gets a number."""
    named: dict[str, Prompt] = {}
    seen = Counter[str]()
    for prompt in prompts:
        name = prompt.name
        while name in named:
            seen[prompt.name] += 1
            name = f"{prompt.name} ({seen[prompt.name] + 1})"
        named[name] = replace(prompt, name=name)
    return tuple(named.values())


class ParameterGrid:
    """Every combination of some parameters."""

    DISPLAY_NAME = "Parameter Grid"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "The ways in which LLM Compare asks each prompt: every combination of the values."
    RETURN_TYPES = ("LLM_PARAMETERS", "INT")
    RETURN_NAMES = ("parameters", "count")
    OUTPUT_TOOLTIPS = ("The combinations.", "How many there are.")
    FUNCTION = "combine"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = (
            "A parameter and its values in each line, such as temperature=0,0.8. There are temperature, top_p, top_k, "
            "min_p, repeat_penalty, presence_penalty, frequency_penalty, seed, max_tokens, stop, think, and extra.NAME "
            "for a field of the server's own."
        )
        systems = "Messages that replace the system prompt, one in each line or in blocks with --- between them."
        return {
            "required": {"grid": widgets.text(tip, "temperature=0,0.8\nmax_tokens=512")},
            "optional": {
                "systems": widgets.text(systems),
                "schema": widgets.text("A JSON Schema that every answer must fit."),
            },
        }

    async def combine(self, *, grid: str, systems: str = "", schema: str = "") -> tuple[Parameters, int]:
        fits = schema_of(schema)
        variants = [replace(variant, schema=fits) for variant in variants_of(";".join(grid.splitlines()))]
        if systems.strip():
            given = await asyncio.to_thread(_written, systems, "txt")
            variants = [_with_system(*pair) for pair in product(variants, given)]
        return Parameters(tuple(variants)), len(variants)


def _with_system(variant: Variant, system: Prompt) -> Variant:
    label = system.name.replace("prompt", "system")
    return replace(variant, name=f"{variant.name} {label}".strip(), system=system.text)
