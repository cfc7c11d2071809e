"""From what a request for pictures says to the jobs that make them: which template, which of its parameters.

Owns what OpenAI's fields mean to a template. Whose word counts in the end, `Workbench.submit` decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_mcp.errors import InvalidParameter, NotFound, TooLarge
from comfy_mcp.jobs import JobRequest
from comfy_mcp.proxy.asking import Asker
from comfy_mcp.proxy.making import only_known
from comfy_mcp.proxy.openai.images.requests import Wish
from comfy_mcp.proxy.openai.models import named_template
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Parameter, Template, checked

__all__ = ["jobs_for", "template_for"]

_QUALITIES = ("auto", "low", "medium", "high", "xhigh", "max", "standard", "hd")
_STYLES = ("vivid", "natural")
_MEGAPIXEL = 1024 * 1024


def template_for(workbench: Workbench, model: str, default: str) -> Template:
    """The template that a model names, as `workflow/ID` or ID; every other name stands for the default one.

    Raises:
        NotFound: there is no such workflow, or the setting names a template that is not there.
    """
    catalogue = workbench.catalogue
    return catalogue.templates.get(model) or named_template(workbench, model) or catalogue.get(default)


async def jobs_for(workbench: Workbench, asker: Asker, template: Template, wish: Wish) -> list[JobRequest]:
    """One job with a batch of `n` where the template has one that large, else `n` jobs whose seeds follow each other.

    Raises:
        InvalidParameter: a field that means nothing to this template; it is named.
    """
    values = {**wish.more, **_sized(template, wish), **_backed(template, wish), "prompt": wish.prompt}
    count = wish.n or 1
    if wish.n is not None and _in_range(template.parameters.get("batch"), wish.n):
        values["batch"], count = wish.n, 1
    values = only_known(workbench, template.id, values)
    front = workbench.settings.images
    one = JobRequest(
        template.id,
        values,
        style=_style(workbench, wish),
        owner=asker.owner,
        standing=front.over(asker.standing),
        preset=await _preset(workbench, asker, template, wish),
        default_preset=True,
        free=front.call_sets,
    )
    return _numbered(one, template.parameters.get("seed"), count)


def _numbered(one: JobRequest, parameter: Parameter | None, count: int) -> list[JobRequest]:
    seed = one.values.get("seed")
    if parameter is None or parameter.type != "seed" or seed is None or str(seed).strip() in ("", "-1"):
        return [one] * count
    first = checked("seed", parameter, seed, choices=None)
    checked("seed", parameter, first + count - 1, choices=None)
    return [replace(one, values={**one.values, "seed": first + more}) for more in range(count)]


def _sized(template: Template, wish: Wish) -> dict[str, Any]:
    """The size as width and height, or as the working size of a template that keeps the shape of its picture."""
    if wish.size is None:
        return {}
    width, height = wish.size
    parameters = template.parameters
    if "width" in parameters and "height" in parameters:
        return {"width": _side(parameters["width"], width), "height": _side(parameters["height"], height)}
    megapixels = parameters.get("megapixels")
    if megapixels is None or megapixels.type != "float":
        return {}
    low, high = megapixels.min or 0.0, megapixels.max
    wanted = max(low, width * height / _MEGAPIXEL)
    return {"megapixels": round(wanted if high is None else min(high, wanted), 4)}


def _side(parameter: Parameter, pixels: int) -> int:
    step = int(parameter.step or 1)
    try:
        checked("size", parameter, pixels, choices=None)
    except InvalidParameter:
        low, high = parameter.min or 1, parameter.max or "any number of"
        hint = f"Give sides of {low} to {high} pixels, or auto."
        raise InvalidParameter("size", f"size has a side of {pixels} pixels.", hint=hint) from None
    if (pixels - int(parameter.min or 0) % step) % step:
        hint = f"Sides go in steps of {step} pixels: give {pixels - pixels % step}."
        raise InvalidParameter("size", f"size has a side of {pixels} pixels.", hint=hint)
    return pixels


def _in_range(batch: Parameter | None, n: int) -> bool:
    if batch is None or batch.type != "int":
        return False
    try:
        checked("batch", batch, n, choices=None)
    except (InvalidParameter, TooLarge):
        return False
    return True


def _backed(template: Template, wish: Wish) -> dict[str, Any]:
    """What is no more than its background is left to a template that has a parameter for that."""
    if wish.background is None or "background" in template.parameters:
        return {"background": wish.background}
    if wish.background != "transparent":
        hint = "Give auto or opaque."
        raise InvalidParameter("background", f"background cannot be {wish.background[:64]!r}.", hint=hint)
    hint = "Give auto or opaque, or name a workflow with a parameter background as the model."
    raise InvalidParameter("background", f"{template.id} makes no transparent background.", hint=hint)


def _style(workbench: Workbench, wish: Wish) -> str | None:
    """A style of ours; what OpenAI calls style means nothing here."""
    if wish.style is None or (wish.style in _STYLES and wish.style not in workbench.catalogue.styles):
        return None
    try:
        workbench.catalogue.style(wish.style)
    except NotFound as failure:
        raise InvalidParameter("style", failure.message, hint=failure.hint) from None
    return wish.style


async def _preset(workbench: Workbench, asker: Asker, template: Template, wish: Wish) -> str | None:
    """A quality is the caller's preset of that name; where there is none, OpenAI's own words change nothing."""
    quality = wish.look.quality
    if quality in await workbench.presets.of(template.id, asker.owner):
        return quality
    if quality not in _QUALITIES:
        hint = f"Give {', '.join(_QUALITIES)}, or the name of a preset of {template.id}."
        raise InvalidParameter("quality", f"quality cannot be {quality[:64]!r}.", hint=hint)
    return None
