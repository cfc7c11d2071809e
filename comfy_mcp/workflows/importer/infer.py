"""Which inputs of a graph are parameters: found by walking back from the samplers, named as people know them.

Owns the guesses. What is guessed wrong, a person trims in `manifest.toml`; what is left out, they add.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from comfy_mcp.errors import MissingNode
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.manifest import Bind, Parameter, ParameterType
from comfy_mcp.workflows.object_info import InputInfo, ObjectInfo

__all__ = ["infer", "parameter_at"]

_SATELLITES = ("sampler", "sigmas", "noise", "guider", "model", "positive", "conditioning")
_SCALARS = {
    "seed": ("seed", "noise_seed"),
    "steps": ("steps",),
    "cfg": ("cfg",),
    "guidance": ("guidance",),
    "sampler": ("sampler_name",),
    "scheduler": ("scheduler",),
    "denoise": ("denoise",),
    "width": ("width",),
    "height": ("height",),
    "batch": ("batch_size", "length"),
}
_HELP = {
    "prompt": "What the picture shows.",
    "negative": "What it must not show.",
    "seed": "Same seed, same picture. -1: random.",
    "steps": "More are finer and slower.",
    "cfg": "How closely to follow the prompt.",
    "guidance": "How closely to follow the prompt.",
    "sampler": "Sampling method.",
    "scheduler": "Noise schedule.",
    "denoise": "How much of the start is repainted.",
    "width": "Pixels.",
    "height": "Pixels.",
    "batch": "How many at once.",
    "image": "The picture to start from.",
    "mask": "White where to repaint.",
}
_MODELS = {
    "ckpt_name": "checkpoint",
    "unet_name": "diffusion_model",
    "clip_name": "text_encoder",
    "clip_name1": "text_encoder",
    "clip_name2": "text_encoder",
    "clip_name3": "text_encoder",
    "vae_name": "vae",
    "lora_name": "lora",
    "control_net_name": "controlnet",
    "model_name": "upscale_model",
    "style_model_name": "style_model",
}
_LIMITS: dict[str, tuple[float, float]] = {
    "steps": (1, 150),
    "cfg": (0, 30),
    "guidance": (0, 30),
    "denoise": (0, 1),
    "width": (64, 4096),
    "height": (64, 4096),
    "batch": (1, 16),
}
_PICTURES: dict[str, ParameterType] = {"LoadImage": "image", "LoadImageMask": "mask"}
_TEXT_INPUTS = ("text", "prompt", "text_g", "text_l", "clip_l", "t5xxl", "value", "string")


@dataclass
class _Finder:
    graph: Graph
    info: ObjectInfo
    found: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    taken: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def inputs(self, node: str) -> dict[str, Any]:
        return self.graph[node]["inputs"]

    def source(self, node: str, name: str) -> str | None:
        value = self.inputs(node).get(name)
        link = cast(list[Any], value) if isinstance(value, list) else []
        return str(link[0]) if link and str(link[0]) in self.graph else None

    def sources(self, node: str) -> Iterator[tuple[str, str]]:
        for name in self.inputs(node):
            if (source := self.source(node, name)) is not None:
                yield name, source

    def upstream(self, node: str) -> list[str]:
        """The node and all it depends on, nearest first."""
        seen, queue = {node: None}, [node]
        while queue:
            for _, source in self.sources(queue.pop(0)):
                if source not in seen:
                    seen[source] = None
                    queue.append(source)
        return list(seen)

    def input_info(self, node: str, name: str) -> InputInfo | None:
        try:
            return self.info.node(self.graph[node]["class_type"]).input(name)
        except MissingNode:
            return None

    def literal(self, node: str, name: str) -> tuple[str, str] | None:
        """Where the value of an input really stands: here, or in the primitive node it comes from."""
        for _ in range(8):
            value = self.inputs(node).get(name)
            if value is None:
                return None
            if not isinstance(value, list):
                return node, name
            source = self.source(node, name)
            held = [] if source is None else [each for each in self.inputs(source) if not self.source(source, each)]
            if source is None or len(self.inputs(source)) != 1 or not held:
                return None
            node, name = source, held[0]
        return None

    def add(self, name: str, place: tuple[str, str] | None, kind: ParameterType | None = None) -> None:
        """Make a parameter of a place, once; a second one of the same name gets a number."""
        if place is None or place in self.taken:
            return
        parameter = _parameter(self, name, place, kind)
        if parameter is not None:
            self.taken.add(place)
            free = _free(name, self.found)
            # Two of one label could not be told apart in a form.
            numbered = parameter.model_copy(update={"label": f"{parameter.label} {free.rpartition('_')[2]}"})
            self.found[free] = parameter if free == name else numbered


def infer(graph: Graph, info: ObjectInfo) -> dict[str, Parameter]:
    """The parameters of a graph, in the order of a form: texts, pictures, size, sampling, models."""
    finder = _Finder(graph, info)
    samplers = _samplers(finder)
    for sampler in samplers:
        _texts(finder, sampler)
    _pictures(finder)
    for sampler in samplers:
        _scalars(finder, sampler)
    _models(finder)
    if not samplers:
        _lonely_texts(finder)
    return finder.found


def parameter_at(graph: Graph, info: ObjectInfo, node: str, name: str) -> Parameter | None:
    """What the input of a node would be as a parameter; None for one that cannot be, such as a link."""
    finder = _Finder(graph, info)
    value, told = finder.inputs(node).get(name), finder.input_info(node, name)
    kind: ParameterType | None = None
    if graph[node]["class_type"] in _PICTURES and name == "image":
        kind = _PICTURES[graph[node]["class_type"]]
    elif told is not None and told.type == "COMBO":
        kind = "model" if name in _MODELS else "enum"
    elif isinstance(value, str):
        kind = "text"
    return _parameter(finder, name, (node, name), kind)


def _samplers(finder: _Finder) -> list[str]:
    """The nodes that sample, those that feed others first."""
    found = [
        node
        for node, content in finder.graph.items()
        if "latent_image" in content["inputs"] and ({"positive", "guider"} & content["inputs"].keys())
    ]
    return sorted(found, key=lambda node: len(set(finder.upstream(node)) & set(found)))


def _texts(finder: _Finder, sampler: str) -> None:
    start = finder.source(sampler, "guider") or sampler
    for name, entries in (("prompt", ("positive", "conditioning")), ("negative", ("negative",))):
        for entry in entries:
            source = finder.source(start, entry)
            if source is not None:
                for place in _text_places(finder, source):
                    finder.add(name, place, "text")
                break


def _text_places(finder: _Finder, start: str) -> list[tuple[str, str]]:
    """The nearest text behind a conditioning: its own, or that of a node it is linked to."""
    for node in finder.upstream(start):
        for name in _TEXT_INPUTS:
            told = finder.input_info(node, name)
            if name in finder.inputs(node) and told is not None and told.type == "STRING":
                place = finder.literal(node, name)
                if place is not None and isinstance(finder.inputs(place[0])[place[1]], str):
                    return [place]
    return []


def _lonely_texts(finder: _Finder) -> None:
    for node in finder.graph:
        for name in ("prompt", "text"):
            told = finder.input_info(node, name)
            if told is not None and told.type == "STRING" and isinstance(finder.inputs(node).get(name), str):
                finder.add(name, (node, name), "text")


def _pictures(finder: _Finder) -> None:
    for node, content in finder.graph.items():
        if kind := _PICTURES.get(content["class_type"]):
            finder.add(kind, (node, "image"), kind)


def _scalars(finder: _Finder, sampler: str) -> None:
    near = [sampler]
    for name in _SATELLITES:
        source = finder.source(sampler, name)
        if source is not None:
            near.append(source)
            near += [each for inner, each in finder.sources(source) if inner in ("conditioning", "positive")]
    latent = finder.source(sampler, "latent_image")
    if latent is not None:
        near += [node for node in finder.upstream(latent) if "Latent" in finder.graph[node]["class_type"]]
    for name, inputs in _SCALARS.items():
        for node in near:
            for each in inputs:
                if each in finder.inputs(node) and finder.input_info(node, each) is not None:
                    finder.add(name, finder.literal(node, each), "seed" if name == "seed" else None)


def _models(finder: _Finder) -> None:
    for node, content in finder.graph.items():
        for name in list(content["inputs"]):
            told = finder.input_info(node, name)
            if name in _MODELS and told is not None and told.type == "COMBO":
                finder.add(_MODELS[name], finder.literal(node, name), "model")
                if name == "lora_name":
                    finder.add("lora_strength", finder.literal(node, "strength_model"))


def _parameter(finder: _Finder, name: str, place: tuple[str, str], kind: ParameterType | None) -> Parameter | None:
    node, input_name = place
    value = finder.inputs(node)[input_name]
    told = finder.input_info(node, input_name)
    cls = finder.graph[node]["class_type"]
    bind = (Bind(class_type=cls, node=node, input=input_name),)
    shared: dict[str, Any] = {"bind": bind, "label": name.replace("_", " ").capitalize(), "help": _HELP.get(name, "")}
    if kind in ("image", "mask"):
        return Parameter(type=kind, **shared)
    if kind == "text":
        return Parameter(type="text", default=None if name == "prompt" else str(value), **shared)
    if kind == "seed":
        return Parameter(type="seed", group="Sampling", **shared) if isinstance(value, int) else None
    if told is not None and told.type == "COMBO":
        return _choice(f"{cls}.{input_name}", kind, value, shared)
    return _number(name, value, told, shared)


def _choice(reference: str, kind: ParameterType | None, value: Any, shared: dict[str, Any]) -> Parameter | None:
    if not isinstance(value, str):
        return None
    default = None if kind == "model" else value
    group = "Model" if kind == "model" else "Sampling"
    return Parameter(type=kind or "enum", choices_from=reference, default=default, group=group, **shared)


def _number(name: str, value: Any, told: InputInfo | None, shared: dict[str, Any]) -> Parameter | None:
    if isinstance(value, bool):
        return Parameter(type="bool", default=value, **shared)
    if not isinstance(value, int | float):
        return None
    whole = told.type == "INT" if told is not None else isinstance(value, int)
    low, high = _LIMITS.get(name, (told.min if told else None, told.max if told else None))
    low = value if low is not None and value < low else low
    high = value if high is not None and value > high else high
    step = 8 if name in ("width", "height") and isinstance(value, int) and value % 8 == 0 else None
    group = "Size" if name in ("width", "height", "batch") else "Sampling"
    cast = int if whole else float
    return Parameter(
        type="int" if whole else "float",
        default=cast(value),
        min=None if low is None else cast(low),
        max=None if high is None else cast(high),
        step=step if whole else None,
        group=group,
        **shared,
    )


def _free(name: str, found: dict[str, Parameter]) -> str:
    candidate, number = name, 2
    while candidate in found:
        candidate, number = f"{name}_{number}", number + 1
    return candidate
