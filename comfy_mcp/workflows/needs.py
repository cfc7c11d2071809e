"""What a bound graph needs of a ComfyUI, as names that can be compared: node classes and model files.

Owns the spelling of those names; the scheduling policy only compares them. Used by workbench and backends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from comfy_mcp.jobs import BoundWorkflow
from comfy_mcp.workflows.choices import MODEL_FILES
from comfy_mcp.workflows.object_info import ObjectInfo

__all__ = ["Needs", "needs_of", "offers"]

_MAIN_INPUTS = ("ckpt_name", "unet_name")


@dataclass(frozen=True, slots=True)
class Needs:
    """``names`` are node classes (`KSampler`) and files (`CheckpointLoaderSimple.ckpt_name=sd15.safetensors`).

    ``model`` is what decides whether a card must load something else: the checkpoint or diffusion model, else every
    other model file. A LoRA, a text encoder or a VAE beside it does not count: they are small, or come with it.
    """

    model: str
    names: frozenset[str]


def needs_of(bound: BoundWorkflow, info: ObjectInfo) -> Needs:
    """What must be there to run this graph; ``info`` tells choices from texts."""
    files = [found for found in _files(bound) if info.choices(f"{found[0]}.{found[1]}") is not None]
    main = sorted({value for _, name, value in files if name in _MAIN_INPUTS})
    model = "+".join(main or sorted({value for _, _, value in files}))
    classes = {str(content["class_type"]) for content in bound.graph.values()}
    return Needs(model, frozenset(classes | {f"{kind}.{name}={value}" for kind, name, value in files}))


def offers(info: ObjectInfo, names: frozenset[str]) -> frozenset[str]:
    """Which of these a ComfyUI has."""
    return frozenset(name for name in names if _has(info, name))


def _has(info: ObjectInfo, name: str) -> bool:
    place, is_file, value = name.partition("=")
    if not is_file:
        return info.has(name)
    choices = info.choices(place)
    # A loader that does not tell its choices is believed to have the file.
    return info.has(place.rpartition(".")[0]) and (choices is None or value in choices)


def _files(bound: BoundWorkflow) -> Iterator[tuple[str, str, str]]:
    uploaded = {place for upload in bound.uploads for place in upload.inputs}
    for node, content in bound.graph.items():
        for name, value in content["inputs"].items():
            if isinstance(value, str) and value.lower().endswith(MODEL_FILES) and (node, name) not in uploaded:
                yield str(content["class_type"]), str(name), value
