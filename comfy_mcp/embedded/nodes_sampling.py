"""The samplers, which paint instead of denoising: see `painter`. All say PROCEDURAL, and so does what comes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from comfy_mcp.embedded.host import Host, to_image
from comfy_mcp.embedded.nodes_image import mask_resized
from comfy_mcp.embedded.nodes_model import Conditioning, Latent, Model
from comfy_mcp.embedded.painter import Brief, paint

__all__ = ["SAMPLING_NODES"]

Array = NDArray[np.floating[Any]]

SAMPLERS = [
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
SCHEDULERS = [
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
]
SEED = {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}
STEPS = {"default": 20, "min": 1, "max": 10000}
CFG = {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}
DENOISE = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}
PREVIEW_SIDE = 512


def sample(host: Host, brief: Brief, latent: Latent, denoise: float = 1.0) -> Latent:
    """Paint over a latent: all of it, or as much as ``denoise`` and its mask say."""
    painted: list[Array] = []
    total = max(1, brief.steps)
    for index in range(latent.batch):
        base = None if latent.picture is None else latent.picture[index % len(latent.picture)]
        mask = None if latent.mask is None else mask_resized(latent.mask, latent.width, latent.height)[0]
        result = np.zeros((latent.height, latent.width, 3), np.float32)
        steps = paint(replace(brief, seed=brief.seed + index), latent.width, latent.height)
        for step, fresh in enumerate(steps, start=1):
            result = _blended(base, fresh, denoise, mask)
            host.step(step, total, _preview(result))
        painted.append(result)
    return replace(latent, picture=np.stack(painted), mask=None)


def _blended(base: Array | None, fresh: Array, denoise: float, mask: Array | None) -> Array:
    if base is None:
        return fresh
    weight: Any = denoise if mask is None else denoise * mask[..., None]
    return (base[: fresh.shape[0], : fresh.shape[1], :3] * (1 - weight) + fresh * weight).astype(np.float32)


def _preview(array: Array) -> Image.Image:
    picture = to_image(array)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return picture


class _Sampler:
    host: Host
    NEEDS_HOST = PROCEDURAL = True
    RETURN_TYPES, FUNCTION = ("LATENT",), "run"


class KSampler(_Sampler):
    CATEGORY = "sampling"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("MODEL", {}),
                "seed": ("INT", SEED),
                "steps": ("INT", STEPS),
                "cfg": ("FLOAT", CFG),
                "sampler_name": (SAMPLERS, {}),
                "scheduler": (SCHEDULERS, {}),
                "positive": ("CONDITIONING", {}),
                "negative": ("CONDITIONING", {}),
                "latent_image": ("LATENT", {}),
                "denoise": ("FLOAT", DENOISE),
            }
        }

    def run(
        self, model: Model, positive: Conditioning, negative: Conditioning, latent_image: Latent, **how: Any
    ) -> Any:
        brief = Brief(
            prompt=positive.text,
            negative=negative.text,
            seed=how["seed"],
            steps=how["steps"],
            cfg=how["cfg"],
            sampler=how["sampler_name"],
            scheduler=how["scheduler"],
            model=model.key,
        )
        return (sample(self.host, brief, latent_image, how.get("denoise", 1.0)),)


class KSamplerAdvanced(_Sampler):
    CATEGORY, DISPLAY_NAME = "sampling", "KSampler (Advanced)"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        step = {"min": 0, "max": 10000}
        return {
            "required": {
                "model": ("MODEL",),
                "add_noise": (["enable", "disable"],),
                "noise_seed": ("INT", SEED),
                "steps": ("INT", STEPS),
                "cfg": ("FLOAT", CFG),
                "sampler_name": (SAMPLERS,),
                "scheduler": (SCHEDULERS,),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
                "start_at_step": ("INT", {"default": 0, **step}),
                "end_at_step": ("INT", {"default": 10000, **step}),
                "return_with_leftover_noise": (["disable", "enable"],),
            }
        }

    def run(
        self, model: Model, positive: Conditioning, negative: Conditioning, latent_image: Latent, **how: Any
    ) -> Any:
        kept = min(how["start_at_step"], how["steps"]) / max(1, how["steps"])
        brief = Brief(
            prompt=positive.text,
            negative=negative.text,
            seed=how["noise_seed"],
            steps=how["steps"],
            cfg=how["cfg"],
            sampler=how["sampler_name"],
            scheduler=how["scheduler"],
            model=model.key,
        )
        return (sample(self.host, brief, latent_image, 1 - kept),)


@dataclass(frozen=True)
class _Guider:
    model: Model
    positive: Conditioning
    negative: Conditioning
    cfg: float


@dataclass(frozen=True)
class _Sigmas:
    scheduler: str
    steps: int
    denoise: float


class KSamplerSelect:
    CATEGORY, RETURN_TYPES, FUNCTION = "sampling/custom_sampling/samplers", ("SAMPLER",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"sampler_name": (SAMPLERS,)}}

    def run(self, sampler_name: str) -> tuple[str]:
        return (sampler_name,)


class BasicScheduler:
    CATEGORY, RETURN_TYPES, FUNCTION = "sampling/custom_sampling/schedulers", ("SIGMAS",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("MODEL",),
                "scheduler": (SCHEDULERS,),
                "steps": ("INT", STEPS),
                "denoise": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
            }
        }

    def run(self, model: Model, scheduler: str, steps: int, denoise: float) -> tuple[_Sigmas]:
        return (_Sigmas(scheduler, steps, denoise),)


class BasicGuider:
    CATEGORY, RETURN_TYPES, FUNCTION = "sampling/custom_sampling/guiders", ("GUIDER",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",), "conditioning": ("CONDITIONING",)}}

    def run(self, model: Model, conditioning: Conditioning) -> tuple[_Guider]:
        return (_Guider(model, conditioning, Conditioning(""), 1.0),)


class CFGGuider:
    CATEGORY, RETURN_TYPES, FUNCTION = "sampling/custom_sampling/guiders", ("GUIDER",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("MODEL",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "cfg": ("FLOAT", CFG),
            }
        }

    def run(self, model: Model, positive: Conditioning, negative: Conditioning, cfg: float) -> tuple[_Guider]:
        return (_Guider(model, positive, negative, cfg),)


class RandomNoise:
    CATEGORY, RETURN_TYPES, FUNCTION = "sampling/custom_sampling/noise", ("NOISE",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"noise_seed": ("INT", SEED)}}

    def run(self, noise_seed: int) -> tuple[int]:
        return (noise_seed,)


class SamplerCustomAdvanced(_Sampler):
    CATEGORY, RETURN_TYPES = "sampling/custom_sampling", ("LATENT", "LATENT")
    RETURN_NAMES = ("output", "denoised_output")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "noise": ("NOISE",),
                "guider": ("GUIDER",),
                "sampler": ("SAMPLER",),
                "sigmas": ("SIGMAS",),
                "latent_image": ("LATENT",),
            }
        }

    def run(self, noise: int, guider: _Guider, sampler: str, sigmas: _Sigmas, latent_image: Latent) -> Any:
        brief = Brief(
            prompt=guider.positive.text,
            negative=guider.negative.text,
            seed=noise,
            steps=sigmas.steps,
            cfg=guider.cfg,
            sampler=sampler,
            scheduler=sigmas.scheduler,
            model=guider.model.key,
        )
        found = sample(self.host, brief, latent_image, sigmas.denoise)
        return found, found


SAMPLING_NODES = {
    cls.__name__: cls
    for cls in (
        KSampler, KSamplerAdvanced, KSamplerSelect, BasicScheduler, BasicGuider, CFGGuider, RandomNoise,
        SamplerCustomAdvanced,
    )
}  # fmt: skip
