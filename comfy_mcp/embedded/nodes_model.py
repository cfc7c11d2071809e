# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""The nodes around the sampler: loaders, conditioning, latents. What they pass on are descriptions, not tensors.

A latent is a picture in pixels, so that decoding is the identity and image-to-image is a blend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comfy_mcp.embedded.nodes_image import resized

__all__ = ["MODEL_NODES", "Conditioning", "Latent", "Model"]

Array = NDArray[np.floating[Any]]
STRENGTH = {"default": 1.0, "min": -100.0, "max": 100.0, "step": 0.01}


@dataclass(frozen=True)
class Model:
    """A checkpoint, with what was put on top of it; stands for MODEL, CLIP and VAE alike."""

    name: str
    layers: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return "+".join((self.name, *self.layers))


@dataclass(frozen=True)
class Conditioning:
    text: str


@dataclass(frozen=True)
class Latent:
    """``picture`` is [B, H, W, 3] or None while it is empty; ``mask`` [B, H, W] says where to paint."""

    width: int
    height: int
    batch: int
    picture: Array | None = None
    mask: Array | None = None


def _node(name: str, returns: tuple[str, ...], inputs: dict[str, Any], run: Any, **more: Any) -> type[Any]:
    """A node class from its parts: these have no state and differ in little."""
    sections = more.pop("sections", {})
    body = {
        "RETURN_TYPES": returns,
        "FUNCTION": "run",
        "INPUT_TYPES": classmethod(lambda cls: {"required": inputs, **sections}),
        "run": staticmethod(run),
        **more,
    }
    return type(name, (), body)


def _empty(width: int, height: int, batch_size: int) -> tuple[Latent]:
    return (Latent(width // 8 * 8, height // 8 * 8, batch_size),)


def _encode(pixels: Array, vae: Model) -> tuple[Latent]:
    height, width = pixels.shape[1] // 8 * 8, pixels.shape[2] // 8 * 8
    return (Latent(width, height, len(pixels), pixels[:, :height, :width, :3]),)


def _encode_masked(pixels: Array, vae: Model, mask: Array, grow_mask_by: int) -> tuple[Latent]:
    (latent,) = _encode(pixels, vae)
    return (replace(latent, mask=mask),)


def _decode(samples: Latent, vae: Model) -> tuple[Array]:
    if samples.picture is None:
        return (np.full((samples.batch, samples.height, samples.width, 3), 0.5, np.float32),)
    return (samples.picture,)


def _scaled(samples: Latent, upscale_method: str, width: int, height: int, crop: str) -> tuple[Latent]:
    method = {"bislerp": "bicubic"}.get(upscale_method, upscale_method)
    picture = None if samples.picture is None else resized(samples.picture, width, height, method)
    return (replace(samples, width=width, height=height, picture=picture),)


def _scaled_by(samples: Latent, upscale_method: str, scale_by: float) -> tuple[Latent]:
    return _scaled(
        samples, upscale_method, round(samples.width * scale_by), round(samples.height * scale_by), "disabled"
    )


def _lora(
    model: Model, clip: Model, lora_name: str, strength_model: float, strength_clip: float
) -> tuple[Model, Model]:
    layered = [replace(each, layers=(*each.layers, f"{lora_name}@{strength_model}")) for each in (model, clip)]
    return layered[0], layered[1]


def _named(name: str) -> tuple[Model]:
    return (Model(name),)


def _vae(vae_name: str) -> tuple[Model]:
    return _named(vae_name)


def _upscaler(model_name: str) -> tuple[Model]:
    return _named(model_name)


LATENT_SIDE = {"default": 512, "min": 16, "max": 16384, "step": 8}
SD3_SIDE = {"default": 1024, "min": 16, "max": 16384, "step": 16}
BATCH = {"default": 1, "min": 1, "max": 4096}
TEXT = ("STRING", {"multiline": True, "dynamicPrompts": True})
CLIP_TYPES = [
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2", "wan",
    "hidream", "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image",
]  # fmt: skip
SCALE_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
DEVICE = (["default", "cpu"], {"advanced": True})

_ALL = (
    _node(
        "CheckpointLoaderSimple", ("MODEL", "CLIP", "VAE"), {"ckpt_name": ("models:checkpoints", {})},
        lambda ckpt_name: (Model(ckpt_name),) * 3, CATEGORY="loaders", DISPLAY_NAME="Load Checkpoint",
    ),
    _node(
        "UNETLoader", ("MODEL",),
        {
            "unet_name": ("models:diffusion_models",),
            "weight_dtype": (["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"],),
        },
        lambda unet_name, weight_dtype: _named(unet_name), CATEGORY="advanced/loaders",
        DISPLAY_NAME="Load Diffusion Model",
    ),
    _node(
        "CLIPLoader", ("CLIP",), {"clip_name": ("models:text_encoders",), "type": (CLIP_TYPES,)},
        lambda clip_name, type, device="default": _named(clip_name), CATEGORY="advanced/loaders",
        DISPLAY_NAME="Load CLIP", sections={"optional": {"device": DEVICE}},
    ),
    _node(
        "DualCLIPLoader", ("CLIP",),
        {
            "clip_name1": ("models:text_encoders",),
            "clip_name2": ("models:text_encoders",),
            "type": (["sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"],),
        },
        lambda clip_name1, clip_name2, type, device="default": (Model(clip_name1, (clip_name2,)),),
        CATEGORY="advanced/loaders", sections={"optional": {"device": DEVICE}},
    ),
    _node("VAELoader", ("VAE",), {"vae_name": ("models:vae",)}, _vae, CATEGORY="loaders", DISPLAY_NAME="Load VAE"),
    # ComfyUI's page takes these four for granted: without them it cannot draw any loader.
    _node(
        "ImageOnlyCheckpointLoader", ("MODEL", "CLIP_VISION", "VAE"), {"ckpt_name": ("models:checkpoints",)},
        lambda ckpt_name: (Model(ckpt_name),) * 3, CATEGORY="loaders/video_models",
        DISPLAY_NAME="Image Only Checkpoint Loader (img2vid model)",
    ),
    _node(
        "ControlNetLoader", ("CONTROL_NET",), {"control_net_name": ("models:controlnet",)},
        lambda control_net_name: _named(control_net_name), CATEGORY="loaders", DISPLAY_NAME="Load ControlNet Model",
    ),
    _node(
        "StyleModelLoader", ("STYLE_MODEL",), {"style_model_name": ("models:style_models",)},
        lambda style_model_name: _named(style_model_name), CATEGORY="loaders", DISPLAY_NAME="Load Style Model",
    ),
    _node(
        "GLIGENLoader", ("GLIGEN",), {"gligen_name": ("models:gligen",)},
        lambda gligen_name: _named(gligen_name), CATEGORY="loaders", DISPLAY_NAME="GLIGENLoader",
    ),
    _node(
        "LoraLoader", ("MODEL", "CLIP"),
        {
            "model": ("MODEL", {}), "clip": ("CLIP", {}), "lora_name": ("models:loras", {}),
            "strength_model": ("FLOAT", STRENGTH), "strength_clip": ("FLOAT", STRENGTH),
        },
        _lora, CATEGORY="loaders", DISPLAY_NAME="Load LoRA",
    ),
    _node(
        "LoraLoaderModelOnly", ("MODEL",),
        {"model": ("MODEL",), "lora_name": ("models:loras",), "strength_model": ("FLOAT", STRENGTH)},
        lambda model, lora_name, strength_model: (_lora(model, model, lora_name, strength_model, 0)[0],),
        CATEGORY="loaders", DISPLAY_NAME="LoraLoaderModelOnly",
    ),
    _node(
        "CLIPTextEncode", ("CONDITIONING",), {"text": TEXT, "clip": ("CLIP", {})},
        lambda text, clip: (Conditioning(text),), CATEGORY="conditioning", DISPLAY_NAME="CLIP Text Encode (Prompt)",
    ),
    _node(
        "CLIPSetLastLayer", ("CLIP",),
        {"clip": ("CLIP",), "stop_at_clip_layer": ("INT", {"default": -1, "min": -24, "max": -1, "step": 1})},
        lambda clip, stop_at_clip_layer: (clip,), CATEGORY="conditioning", DISPLAY_NAME="CLIP Set Last Layer",
    ),
    _node(
        "ConditioningZeroOut", ("CONDITIONING",), {"conditioning": ("CONDITIONING",)},
        lambda conditioning: (Conditioning(""),), CATEGORY="advanced/conditioning",
    ),
    _node(
        "FluxGuidance", ("CONDITIONING",),
        {
            "conditioning": ("CONDITIONING",),
            "guidance": ("FLOAT", {"default": 3.5, "min": 0.0, "max": 100.0, "step": 0.1}),
        },
        lambda conditioning, guidance: (conditioning,), CATEGORY="advanced/conditioning/flux", DISPLAY_NAME=None,
    ),
    _node(
        "EmptyLatentImage", ("LATENT",),
        {"width": ("INT", LATENT_SIDE), "height": ("INT", LATENT_SIDE), "batch_size": ("INT", BATCH)}, _empty,
        CATEGORY="latent", DISPLAY_NAME="Empty Latent Image",
    ),
    _node(
        "EmptySD3LatentImage", ("LATENT",),
        {"width": ("INT", SD3_SIDE), "height": ("INT", SD3_SIDE), "batch_size": ("INT", BATCH)}, _empty,
        CATEGORY="latent/sd3", DISPLAY_NAME=None,
    ),
    _node("VAEEncode", ("LATENT",), {"pixels": ("IMAGE",), "vae": ("VAE",)}, _encode, CATEGORY="latent",
          DISPLAY_NAME="VAE Encode"),
    _node(
        "VAEEncodeForInpaint", ("LATENT",),
        {
            "pixels": ("IMAGE",), "vae": ("VAE",), "mask": ("MASK",),
            "grow_mask_by": ("INT", {"default": 6, "min": 0, "max": 64, "step": 1}),
        },
        _encode_masked, CATEGORY="latent/inpaint", DISPLAY_NAME="VAE Encode (for Inpainting)",
    ),
    _node("VAEDecode", ("IMAGE",), {"samples": ("LATENT", {}), "vae": ("VAE", {})}, _decode, CATEGORY="latent",
          DISPLAY_NAME="VAE Decode"),
    _node(
        "SetLatentNoiseMask", ("LATENT",), {"samples": ("LATENT",), "mask": ("MASK",)},
        lambda samples, mask: (replace(samples, mask=mask),), CATEGORY="latent/inpaint",
        DISPLAY_NAME="Set Latent Noise Mask",
    ),
    _node(
        "LatentUpscale", ("LATENT",),
        {
            "samples": ("LATENT",), "upscale_method": (SCALE_METHODS,),
            "width": ("INT", {"default": 512, "min": 0, "max": 16384, "step": 8}),
            "height": ("INT", {"default": 512, "min": 0, "max": 16384, "step": 8}), "crop": (["disabled", "center"],),
        },
        _scaled, CATEGORY="latent", DISPLAY_NAME="Upscale Latent",
    ),
    _node(
        "LatentUpscaleBy", ("LATENT",),
        {
            "samples": ("LATENT",), "upscale_method": (SCALE_METHODS,),
            "scale_by": ("FLOAT", {"default": 1.5, "min": 0.01, "max": 8.0, "step": 0.01}),
        },
        _scaled_by, CATEGORY="latent", DISPLAY_NAME="Upscale Latent By",
    ),
    _node(
        "UpscaleModelLoader", ("UPSCALE_MODEL",), {"model_name": ("models:upscale_models",)}, _upscaler,
        CATEGORY="loaders", DISPLAY_NAME="Load Upscale Model",
    ),
    _node(
        "ImageUpscaleWithModel", ("IMAGE",), {"upscale_model": ("UPSCALE_MODEL",), "image": ("IMAGE",)},
        lambda upscale_model, image: (resized(image, image.shape[2] * 4, image.shape[1] * 4, "lanczos"),),
        CATEGORY="image/upscaling", DISPLAY_NAME="Upscale Image (using Model)", PROCEDURAL=True,
    ),
)  # fmt: skip

MODEL_NODES = {cls.__name__: cls for cls in _ALL}
