"""Values into a graph: every parameter validated and put in its places, nothing else touched.

Owns the order of precedence (argument, then style, then default) and the drawing of seeds. A bind replaces one literal
by another; no value can change a class or a link. Called by the workbench and the doctor.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from comfy_mcp.errors import InvalidParameter, MissingModel, nearest
from comfy_mcp.jobs import BoundWorkflow, Graph, Upload
from comfy_mcp.workflows.choices import default_choice
from comfy_mcp.workflows.manifest import Parameter
from comfy_mcp.workflows.object_info import InputInfo, ObjectInfo
from comfy_mcp.workflows.styles import Around, Style
from comfy_mcp.workflows.template import Template
from comfy_mcp.workflows.values import checked, on_grid, seed_range

__all__ = ["bind", "offered", "random_seed"]


_NOTHING = Around()


def random_seed() -> int:
    """A random seed of 32 bits: chats written in JavaScript keep it exactly, unlike one of 64."""
    return secrets.randbelow(2**32)


def bind(
    template: Template,
    values: Mapping[str, Any],
    *,
    style: Style | None = None,
    around: Around = _NOTHING,
    object_info: ObjectInfo | None = None,
    draw_seed: Callable[[], int] = random_seed,
) -> BoundWorkflow:
    """The graph with every value in its place. ``None`` counts as not given, so does "" but for a text; a seed of -1
    is drawn. Whole numbers between two steps go down to the lower one, with a warning: ComfyUI does not check steps,
    and some nodes fail on what is between. A value of a style that does not fit here is left out, with a warning.

    ``around`` goes into the graph only: the values tell what was asked for.

    Without ``object_info`` nothing is known of choices, and a model that is not given stays as in the graph.

    Raises:
        InvalidParameter: a value that the parameter does not take, an unknown one, or one that is missing.
        TooLarge: a text of more than 100 000 characters.
        MissingModel: a model is needed and this ComfyUI offers none.
    """
    _refuse_unknown(template, values, style)
    resolver = _Resolver(template, values, style, object_info, draw_seed)
    resolved = {name: resolver.resolve(name, parameter) for name, parameter in template.parameters.items()}
    graph = _completed(template.graph, object_info)
    return _placed(template, graph, resolved, _painted(template, resolved, style, around), tuple(resolver.warnings))


def offered(parameter: Parameter, object_info: ObjectInfo | None) -> tuple[Any, ...] | None:
    """What the parameter can be now: the manifest's own choices, ComfyUI's, or None when nobody knows."""
    if parameter.choices is not None:
        return parameter.choices
    if parameter.choices_from is None or object_info is None:
        return None
    return object_info.choices(parameter.choices_from)


def _refuse_unknown(template: Template, values: Mapping[str, Any], style: Style | None) -> None:
    if style is not None and not template.takes_style:
        raise InvalidParameter("style", f"{template.id} has no prompt for a style.", hint="Leave the style out.")
    for name in values:
        if name in template.parameters:
            continue
        told = f"{template.id} has no parameter {name[:64]!r}."
        if name == "style":
            raise InvalidParameter(name, told, hint="A style is named beside the values, not among them.")
        alike = nearest(name[:64], template.parameters)
        hint = f"Nearest: {', '.join(alike)}." if alike else f"It takes: {', '.join(template.parameters) or 'none'}."
        raise InvalidParameter(name[:64], told, hint=hint, nearest=alike)


@dataclass
class _Resolver:
    template: Template
    values: Mapping[str, Any]
    style: Style | None
    info: ObjectInfo | None
    draw_seed: Callable[[], int]
    warnings: list[str] = field(default_factory=list[str])

    def resolve(self, name: str, parameter: Parameter) -> Any:
        """The value of a parameter: what was given, else the style's, else the default."""
        choices = offered(parameter, self.info)
        given = self._given(name, parameter)
        if parameter.type == "seed" and _is_drawn(given):
            value = self._drawn(parameter)
        elif given is not None:
            value = checked(name, parameter, given, choices=choices)
        else:
            value = self._from_style(name, parameter, choices)
            value = self._default(name, parameter, choices) if value is None else value
        if parameter.type != "int":
            return value
        rounded = on_grid(parameter, value)
        if rounded != value:
            self.warnings.append(f"{name} was rounded from {value} to {rounded}: it goes in steps of {parameter.step}.")
        return rounded

    def _given(self, name: str, parameter: Parameter) -> Any:
        value = self.values.get(name)
        if isinstance(value, str) and not value.strip() and parameter.type != "text":
            return None
        return value

    def _from_style(self, name: str, parameter: Parameter, choices: tuple[Any, ...] | None) -> Any:
        value = None if self.style is None else self.style.overrides.get(name)
        if value is None:
            return None
        try:
            return checked(name, parameter, value, choices=choices)
        except (InvalidParameter, MissingModel):
            self.warnings.append(f"The style's {name} ({value}) does not fit this template and was left out.")
            return None

    def _default(self, name: str, parameter: Parameter, choices: tuple[Any, ...] | None) -> Any:
        if parameter.type == "seed" and (parameter.default is None or _is_drawn(parameter.default)):
            return self._drawn(parameter)
        if parameter.required:
            hint = parameter.help or f"{self.template.id} needs it."
            raise InvalidParameter(name, f"{name} is missing.", hint=hint, missing=True)
        if parameter.type not in ("enum", "model"):
            return checked(name, parameter, parameter.default, choices=None)
        if choices is not None:
            return checked(name, parameter, default_choice(name, parameter, choices), choices=choices)
        # Nobody can say what is offered, so what the author of the template wrote stands.
        place = parameter.bind[0]
        written = self.template.graph[place.node]["inputs"][place.input]
        return written if parameter.type == "model" or parameter.default is None else parameter.default

    def _drawn(self, parameter: Parameter) -> int:
        low, high = seed_range(parameter)
        return low + self.draw_seed() % (high - low + 1)


def _is_drawn(value: Any) -> bool:
    return not isinstance(value, bool) and (value == -1 or (isinstance(value, str) and value.strip() == "-1"))


def _painted(template: Template, resolved: Mapping[str, Any], style: Style | None, around: Around) -> dict[str, Any]:
    """What goes into the graph, where it differs from what the person gave."""
    texts = {name: resolved[name] for name, told in template.parameters.items() if told.type == "text"}
    if "prompt" not in texts or (style is None and around == _NOTHING):
        return {}
    prompt, negative = around.apply(texts["prompt"], texts.get("negative", ""))
    if style is not None:
        prompt, negative = style.apply(prompt, negative)
    return {"prompt": prompt, **({"negative": negative} if "negative" in texts else {})}


def _completed(graph: Graph, object_info: ObjectInfo | None) -> Graph:
    """A copy of the graph in which inputs that a node gained since the export have their default, as on the canvas."""
    completed = copy.deepcopy(graph)
    if object_info is None:
        return completed
    for content in completed.values():
        if not object_info.has(content["class_type"]):
            continue
        for told in object_info.node(content["class_type"]).inputs:
            if told.required and told.name not in content["inputs"]:
                default = _widget_default(told)
                if default is not None:
                    content["inputs"][told.name] = default
    return completed


def _widget_default(told: InputInfo) -> Any:
    if not told.is_plain or told.forced:
        return None
    if told.type == "COMBO" and told.choices is not None:
        return told.default if told.default in told.choices else next(iter(told.choices), None)
    return told.default if isinstance(told.default, str | bool | int | float) else None


def _placed(
    template: Template,
    graph: Graph,
    resolved: dict[str, Any],
    painted: Mapping[str, Any],
    warnings: tuple[str, ...],
) -> BoundWorkflow:
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
        timeout=template.manifest.timeout,
        warnings=warnings,
    )
