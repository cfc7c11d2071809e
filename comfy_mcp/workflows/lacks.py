"""What a ComfyUI lacks to run a template, all of it at once and before anybody asks for a job.

Owns where ComfyUI keeps which file. What a job really sends, `checks` judges; here its values are the usual ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from comfy_mcp.errors import MissingModel
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.choices import MODEL_FILES, default_choice
from comfy_mcp.workflows.graph import is_link
from comfy_mcp.workflows.manifest import Parameter
from comfy_mcp.workflows.object_info import InputInfo, ObjectInfo

__all__ = ["Asked", "Lack", "asks_for", "lacks"]

_FOLDERS = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "vae_name": "vae",
    "lora_name": "loras",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
}
_FOLDERS_OF = {
    "UpscaleModelLoader.model_name": "upscale_models",
    "CLIPVisionLoader.clip_name": "clip_vision",
    "ModelPatchLoader.name": "model_patches",
}


@dataclass(frozen=True, slots=True)
class Lack:
    """``name`` is a node class, a file, or a choice that is not offered; ``folder`` is below ComfyUI's models, empty
    where nobody knows. ``parameter`` is bound there."""

    kind: Literal["node", "file", "choice"]
    name: str
    node: str
    input: str = ""
    parameter: str = ""
    folder: str = ""
    is_ours: bool = False

    @classmethod
    def of_class(cls, name: str, node: str = "") -> Self:
        """That of a node class, which may be one of our own."""
        return cls("node", name, node, is_ours=name.startswith("Workbench"))


@dataclass(frozen=True, slots=True)
class Asked:
    """Node classes, the files of models that nobody can choose, and the parameters that choose a model."""

    nodes: tuple[str, ...]
    files: tuple[str, ...]
    models: tuple[str, ...]


def lacks(graph: Graph, parameters: Mapping[str, Parameter], info: ObjectInfo) -> list[Lack]:
    """Everything that is missing, node classes first, each once."""
    classes: dict[str, Lack] = {}
    for node, content in graph.items():
        kind = str(content["class_type"])
        if not info.has(kind):
            classes.setdefault(kind, Lack.of_class(kind, node))
    looking = _Looking(graph, parameters, info)
    values = (looking.at(node, told, value) for node, told, value in looking.values())
    return [*classes.values(), *(lack for lack in values if lack is not None)]


def asks_for(graph: Graph, parameters: Mapping[str, Parameter]) -> Asked:
    """What a graph asks of any ComfyUI."""
    bound = {(bind.node, bind.input) for told in parameters.values() for bind in told.bind}
    named = (
        value
        for node, content in graph.items()
        for name, value in content["inputs"].items()
        if isinstance(value, str) and value.lower().endswith(MODEL_FILES) and (node, name) not in bound
    )
    return Asked(
        tuple(sorted({str(content["class_type"]) for content in graph.values()})),
        tuple(dict.fromkeys(named)),
        tuple(name for name, told in parameters.items() if told.type == "model"),
    )


class _Looking:
    def __init__(self, graph: Graph, parameters: Mapping[str, Parameter], info: ObjectInfo) -> None:
        self._graph, self._parameters, self._info = graph, parameters, info
        self._bound = {(bind.node, bind.input): name for name, told in parameters.items() for bind in told.bind}

    def values(self) -> Iterator[tuple[str, InputInfo, object]]:
        """Every value that a node knows an input for."""
        for node, content in self._graph.items():
            if self._info.has(content["class_type"]):
                inputs = content["inputs"]
                for told in self._info.node(content["class_type"]).unfolded(inputs):
                    if told.name in inputs and not is_link(inputs[told.name]):
                        yield node, told, inputs[told.name]

    def at(self, node: str, told: InputInfo, value: object) -> Lack | None:
        """What is missing there."""
        if told.choices is None or told.takes_upload or told.options.get("remote") or not isinstance(value, str):
            return None
        name = self._bound.get((node, told.name), "")
        missing = self._missing(name) if name else None if value in told.choices else value
        if missing is None:
            return None
        folder = _FOLDERS_OF.get(f"{self._graph[node]['class_type']}.{told.name}") or _folder(told.name)
        is_file = bool(folder) or any(str(each).lower().endswith(MODEL_FILES) for each in (missing, *told.choices[:50]))
        return Lack("file" if is_file else "choice", missing, node, told.name, name, folder)

    def _missing(self, name: str) -> str | None:
        """What a parameter falls to when nobody gives it, where that is not offered."""
        parameter = self._parameters[name]
        choices = self._info.choices(parameter.choices_from) if parameter.choices_from else parameter.choices
        if choices is None:
            return None
        try:
            chosen = default_choice(name, parameter, choices)
        except MissingModel:
            return str(parameter.default or "")
        return None if chosen in choices else str(chosen)


def _folder(name: str) -> str:
    return _FOLDERS.get(name) or ("text_encoders" if name.startswith("clip_name") else "")
