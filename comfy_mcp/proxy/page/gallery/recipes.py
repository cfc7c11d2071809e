"""What a picture was made from, as rows for people: in the order and with the names of its template's form.

Owns the order and the names, in English where they are ours: the pages say them in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_mcp.jobs import Job
from comfy_mcp.ui import to_say
from comfy_mcp.workflows import Parameter, Template

__all__ = ["Difference", "Recipe", "Value", "different", "recipe_of"]

_TEXTS = ("prompt", "negative")
_LABELS = {"template": to_say("Tool"), "style": to_say("Style")}


@dataclass(frozen=True, slots=True)
class Value:
    """One parameter; ``label`` is the manifest's own, or the name where it has none."""

    name: str
    label: str
    value: Any
    is_picture: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A parameter with its value in each of two pictures, None where it has none."""

    label: str
    left: Any
    right: Any


@dataclass(frozen=True, slots=True)
class Recipe:
    """``texts`` are the long ones, to be copied; ``seconds`` is how long it took."""

    texts: Sequence[Value]
    values: Sequence[Value]
    seconds: float | None


def recipe_of(job: Job | None, template: Template | None) -> Recipe:
    """The recipe of what a job made; empty for an upload."""
    if job is None:
        return Recipe((), (), None)
    told = {} if template is None else template.parameters
    order = [*(name for name in told if name in job.values), *(name for name in job.values if name not in told)]
    values = [
        Value(name, _label(name, template), job.values[name], is_picture=name in told and _is_picture(told[name]))
        for name in order
    ]
    seconds = None if job.started is None or job.finished is None else (job.finished - job.started).total_seconds()
    texts = [each for each in values if each.name in _TEXTS]
    return Recipe(texts, [each for each in values if each.name not in _TEXTS], seconds)


def different(
    left: Job | None, right: Job | None, template: Template | None, titles: Mapping[str, str]
) -> list[Difference]:
    """What is not the same in what two pictures were made from. ``titles`` are those of the templates."""
    ours, theirs = _facts(left, titles), _facts(right, titles)
    return [
        Difference(_label(name, template), ours.get(name), theirs.get(name))
        for name in dict.fromkeys((*ours, *theirs))
        if ours.get(name) != theirs.get(name)
    ]


def _facts(job: Job | None, titles: Mapping[str, str]) -> dict[str, Any]:
    if job is None:
        return {}
    return {"template": titles.get(job.template, job.template), "style": job.style, **job.values}


def _label(name: str, template: Template | None) -> str:
    told = None if template is None else template.parameters.get(name)
    return _LABELS.get(name, name) if told is None else told.label or name


def _is_picture(parameter: Parameter) -> bool:
    return parameter.type in ("image", "mask")
