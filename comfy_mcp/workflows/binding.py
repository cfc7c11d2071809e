"""Values into a graph: every parameter validated and put in its places, nothing else touched.

Owns the order of precedence (argument, then style, then default) and the drawing of seeds. A bind replaces one literal
by another; no value can change a class or a link.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from comfy_mcp.errors import InvalidParameter, MissingModel, nearest
from comfy_mcp.jobs import BoundWorkflow, Upload
from comfy_mcp.workflows.manifest import Parameter
from comfy_mcp.workflows.object_info import ObjectInfo
from comfy_mcp.workflows.styles import Style
from comfy_mcp.workflows.template import Template
from comfy_mcp.workflows.values import checked

__all__ = ["bind", "draw_seed", "offered"]


def draw_seed() -> int:
    """A random seed of 32 bits: chats written in JavaScript keep it exactly, unlike one of 64."""
    return secrets.randbelow(2**32)


def bind(
    template: Template,
    values: Mapping[str, Any],
    *,
    style: Style | None = None,
    object_info: ObjectInfo | None = None,
    seed: Callable[[], int] = draw_seed,
) -> BoundWorkflow:
    """The graph with every value in its place. ``None`` and "" count as not given, but for texts.

    Raises:
        InvalidParameter: a value that the parameter does not take, an unknown one, or one that is missing.
        TooLarge: a text of more than 100 000 characters.
        MissingModel: a model is needed and this ComfyUI offers none.
    """
    _refuse_unknown(template, values, style)
    warnings: list[str] = []
    resolved: dict[str, Any] = {}
    for name, parameter in template.parameters.items():
        given = _given(template, name, parameter, values, style)
        if given is None and parameter.type == "seed":
            given = seed()
        choices = offered(parameter, object_info)
        if given is None:
            given = _first_offered(name, parameter, choices)
        resolved[name] = _stepped(name, parameter, checked(name, parameter, given, choices=choices), warnings)
    return _placed(template, resolved, _styled(template, resolved, style), warnings)


def _refuse_unknown(template: Template, values: Mapping[str, Any], style: Style | None) -> None:
    for name in values:
        if name not in template.parameters:
            alike = nearest(name, template.parameters)
            hint = f"Nearest: {', '.join(alike)}." if alike else f"It takes: {', '.join(template.parameters)}."
            raise InvalidParameter(
                name[:64], f"{template.id} has no parameter {name[:64]!r}.", hint=hint, nearest=alike
            )
    if style is not None and not template.takes_style:
        raise InvalidParameter("style", f"{template.id} has no prompt for a style.", hint="Leave the style out.")


def _given(template: Template, name: str, parameter: Parameter, values: Mapping[str, Any], style: Style | None) -> Any:
    value = values.get(name)
    if value == "" and parameter.type != "text":
        value = None
    if parameter.type == "seed" and value in (-1, "-1"):
        value = None
    if value is None and style is not None:
        value = style.overrides.get(name)
    if value is None:
        value = parameter.default
    if value is None and parameter.required:
        raise InvalidParameter(name, f"{name} is missing.", hint=parameter.help or f"{template.id} needs it.")
    return value


def offered(parameter: Parameter, object_info: ObjectInfo | None) -> tuple[Any, ...] | None:
    """What the parameter can be now: the manifest's own choices, ComfyUI's, or None when nobody knows."""
    if parameter.choices is not None:
        return parameter.choices
    if parameter.choices_from is None or object_info is None:
        return None
    return object_info.choices(parameter.choices_from)


def _first_offered(name: str, parameter: Parameter, choices: tuple[Any, ...] | None) -> Any:
    if not choices:
        raise MissingModel(
            f"ComfyUI offers nothing for {name}.",
            hint=f"Put a file for {parameter.choices_from} into ComfyUI's models folder.",
            parameter=name,
        )
    return choices[0]


def _stepped(name: str, parameter: Parameter, value: Any, warnings: list[str]) -> Any:
    """Whole numbers fall on the grid: ComfyUI itself does not check it, and some nodes fail on what is between."""
    if parameter.type != "int" or parameter.step is None:
        return value
    origin, step = int(parameter.min or 0), int(parameter.step)
    rounded = origin + (value - origin) // step * step
    if rounded != value:
        warnings.append(f"{name} was rounded from {value} to {rounded}, a multiple of {step}.")
    return rounded


def _styled(template: Template, resolved: Mapping[str, Any], style: Style | None) -> dict[str, Any]:
    """What goes into the graph, where it differs from what the person gave."""
    if style is None:
        return {}
    painted = {"prompt": style.around(resolved["prompt"])}
    if "negative" in resolved:
        painted["negative"] = style.against(resolved["negative"])
    return painted


def _placed(
    template: Template, resolved: dict[str, Any], painted: Mapping[str, Any], warnings: list[str]
) -> BoundWorkflow:
    graph = copy.deepcopy(template.graph)
    uploads: list[Upload] = []
    places: dict[str, str] = {}
    for name, parameter in template.parameters.items():
        inputs = tuple((place.node, place.input) for place in parameter.bind)
        if parameter.type in ("image", "mask"):
            uploads.append(Upload(resolved[name], inputs))
        for node, input_name in inputs:
            graph[node]["inputs"][input_name] = painted.get(name, resolved[name])
            places[f"{node}.{input_name}"] = name
    return BoundWorkflow(
        graph=graph,
        values=resolved,
        uploads=tuple(uploads),
        parameters=places,
        keep_in_comfyui=template.manifest.keep_in_comfyui,
        capture=template.manifest.capture,
        warnings=tuple(warnings),
    )
