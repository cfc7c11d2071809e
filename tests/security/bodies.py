"""A body that each endpoint takes, as its clients send it: what hostile ones are made from."""

from __future__ import annotations

import base64
from typing import Any

from tests.images import samples

__all__ = ["BASE64", "BODIES", "PNG"]

SMALL: dict[str, Any] = {"prompt": "a lighthouse", "steps": 1, "width": 64, "height": 64, "seed": 1}
PNG = samples.encoded(samples.photo(64, 64), "PNG")
BASE64 = base64.b64encode(PNG).decode()
GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/v1/jobs": {
        "template": "txt2img",
        "values": {**SMALL, "cfg": 7.0, "negative": "rain"},
        "style": "cinematic",
        "priority": 0,
        "tags": [],
        "expires_in": 60,
    },
    "POST /api/v1/compare": {
        "models": ["llm/alpha"],
        "prompts": [{"name": "one", "text": "Say it.", "system": "", "images": []}],
        "system": "",
        "parameters": "temperature=0",
        "repeats": 1,
        "checks": ["max-words:50"],
        "fresh": False,
        "judge": {"model": "llm/beta", "criteria": "which is shorter", "most_pairs": 2},
    },
    "POST /sdapi/v1/txt2img": {
        **SMALL,
        "negative_prompt": "rain",
        "cfg_scale": 7,
        "sampler_name": "Euler a",
        "scheduler": "Automatic",
        "batch_size": 1,
        "n_iter": 1,
        "styles": [],
        "override_settings": {"sd_model_checkpoint": ""},
        "restore_faces": False,
        "enable_hr": False,
        "save_images": True,
        "denoising_strength": 0.5,
    },
    "POST /sdapi/v1/img2img": {
        **SMALL,
        "init_images": [BASE64],
        "denoising_strength": 0.5,
        "mask": "",
        "mask_blur": 4,
        "inpainting_fill": 1,
        "resize_mode": 0,
        "include_init_images": False,
    },
    "POST /sdapi/v1/extra-single-image": {
        "image": BASE64,
        "resize_mode": 0,
        "upscaling_resize": 2,
        "upscaler_1": "None",
        "codeformer_visibility": 0,
    },
    "POST /sdapi/v1/png-info": {"image": BASE64},
    "POST /sdapi/v1/options": {"sd_model_checkpoint": "workbench.safetensors", "CLIP_stop_at_last_layers": 1},
    "POST /v1/images/generations": {
        "model": "txt2img",
        "prompt": "a lighthouse",
        "n": 1,
        "size": "64x64",
        "quality": "auto",
        "style": "vivid",
        "response_format": "b64_json",
        "output_format": "png",
        "output_compression": 90,
        "background": "auto",
        "stream": False,
        "partial_images": 0,
        "steps": 1,
        "seed": 1,
        "user": "a",
    },
    "POST /v1/chat/completions": {
        "model": "llm/alpha",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Say it."}]}],
        "stream": False,
        "temperature": 0.5,
        "max_tokens": 20,
        "top_p": 1,
        "stop": ["."],
        "seed": 1,
        "n": 1,
        "stream_options": {"include_usage": True},
        "tools": [],
        "user": "a",
    },
    "POST /comfyui/prompt": {"prompt": GRAPH, "client_id": "a" * 32, "extra_data": {"extra_pnginfo": {}}},
    "POST /comfyui/queue": {"delete": ["9f1c0d52-1b1e-4c6e-9d0c-2f4d6d9f7a11"]},
    "POST /mcp": {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "txt2img", "arguments": {**SMALL, "style": "cinematic"}, "_meta": {"progressToken": 1}},
    },
}
"""A body that each endpoint takes, as its clients send it."""
