"""Templates and backends for tests: the shipped ones, a small one to bend, and a recorded ComfyUI with models in it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from comfy_mcp.workflows import Catalogue, ObjectInfo, Template, shipped_folder
from comfy_mcp.workflows.template import load_template
from tests.data.record_object_info import recorded

__all__ = [
    "FILES",
    "GRAPH",
    "MANIFEST",
    "NAMES",
    "SHIPPED",
    "offering",
    "small",
    "template_of",
    "unhurried",
    "write_folder",
]

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For property tests: on a busy machine an example may take long, and that is no failure."""

SHIPPED = Catalogue.load([shipped_folder()])
NAMES = ("img2img", "inpaint", "txt2img", "txt2img_dit", "txt2img_lora", "upscale")

GRAPH: dict[str, Any] = {
    "1": {"class_type": "Painter", "inputs": {"text": "a cat", "size": 64, "source": ["2", 0]}},
    "2": {"class_type": "Loader", "inputs": {"file": "a.safetensors", "strength": 0.5, "fast": False}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}
MANIFEST = """\
title = "Small"
description = "A small one."

[parameters.prompt]
type = "text"
bind = "Painter#1.text"
"""

FILES: dict[str, list[str]] = {
    "ckpt_name": ["SD15/dreamshaper_8.safetensors", "SDXL/sd_xl_base_1.0.safetensors", "SDXL/turbo.v1.safetensors"],
    "lora_name": ["detail.safetensors"],
    "unet_name": ["flux1-canny-dev.safetensors", "flux1-dev-fp8.safetensors"],
    "clip_name1": ["clip_g.safetensors", "clip_l.safetensors", "t5xxl_fp8_e4m3fn.safetensors"],
    "clip_name2": ["clip_g.safetensors", "clip_l.safetensors", "t5xxl_fp8_e4m3fn.safetensors"],
    "vae_name": ["ae.safetensors", "sdxl_vae.safetensors"],
    "model_name": ["4x-UltraSharp.pth"],
}


def offering(**files: list[Any]) -> ObjectInfo:
    """The recorded ComfyUI with these files, and those of `FILES`, in the choices of the inputs that are named."""
    raw = recorded()
    wanted = {**FILES, **files}
    for node in raw.values():
        for inputs in (node["input"].get("required", {}), node["input"].get("optional", {})):
            for name in inputs.keys() & wanted.keys():
                if isinstance(inputs[name][0], list):
                    inputs[name][0] = wanted[name]
                else:
                    inputs[name][1]["options"] = wanted[name]
    return ObjectInfo(raw)


def write_folder(folder: Path, manifest: str = MANIFEST, graph: Any = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.toml").write_text(manifest, "utf-8")
    (folder / "workflow.json").write_text(json.dumps(GRAPH if graph is None else graph), "utf-8")
    return folder


def small() -> dict[str, Any]:
    """The small graph, to be changed at will."""
    return copy.deepcopy(GRAPH)


def template_of(folder: Path, parameters: str, graph: Any = None) -> Template:
    """A template of the small graph with a prompt and these parameters."""
    return load_template(write_folder(folder / "small", f"{MANIFEST}\n{parameters}", graph))
