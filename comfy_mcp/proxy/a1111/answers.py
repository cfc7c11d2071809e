"""What A1111 answers: pictures as base64 of PNG, and how they were made, told as JSON in a text and in each picture.

Owns those shapes (`modules/processing.py`, `Processed.js` and `create_infotext`) and which keys of a request are told
back: some clients send what is nobody's business along with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy_mcp
from comfy_mcp.errors import OutputUnreadable
from comfy_mcp.images import convert
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.proxy.a1111.names import to_a1111
from comfy_mcp.proxy.a1111.offers import bare
from comfy_mcp.proxy.a1111.png_text import with_text
from comfy_mcp.workbench import Workbench

__all__ = ["answer", "as_png", "pictures_of"]

_VERSION = f"comfyui-workbench {comfy_mcp.__version__}"
_TOLD_BACK = re.compile(
    r"(negative_)?prompt|styles|seed|subseed(_strength)?|sampler_(name|index)|scheduler|batch_size|n_iter|steps|cfg_scale"
    r"|width|height|restore_faces|tiling|denoising_strength|eta|enable_hr|hr_\w{1,30}|clip_skip|resize_mode|mask_blur"
    r"|inpaint_full_res(_padding)?|inpainting_(fill|mask_invert)|(send|save)_images|do_not_save_(samples|grid)"
)


@dataclass(frozen=True, slots=True)
class _Painted:
    job: Job
    asset: Asset
    infotext: str


def pictures_of(jobs: Sequence[Job]) -> list[tuple[Job, Asset]]:
    """Every picture that came out, with its job. Raises OutputUnreadable when there is none."""
    found = [(job, asset) for job in jobs for asset in job.assets if asset.mime.startswith("image/")]
    if not found:
        raise OutputUnreadable("The workflow made no picture.", hint="Let another one serve txt2img and img2img.")
    return found


async def answer(
    workbench: Workbench, body: Mapping[str, Any], jobs: Sequence[Job], notes: Sequence[str], model: str | None
) -> dict[str, Any]:
    """The answer to a request whose jobs succeeded. ``model`` is the parameter that holds the checkpoint."""
    painted = [_Painted(job, asset, _infotext(job, asset, model)) for job, asset in pictures_of(jobs)]
    told = {name: value for name, value in body.items() if _TOLD_BACK.fullmatch(name)}
    return {
        "images": [await as_png(workbench, each.asset, each.infotext) for each in painted],
        "parameters": {**told, "init_images": None, "mask": None},
        "info": json.dumps(_info(painted, model, notes), ensure_ascii=False),
    }


async def as_png(workbench: Workbench, asset: Asset, infotext: str = "") -> bytes:
    """A picture as PNG, with how it was made inside. Raises NotFound when it expired."""
    data = await convert(await workbench.read(asset), "image/png")
    return with_text(data, "parameters", infotext) if infotext else data


def _info(painted: Sequence[_Painted], model: str | None, notes: Sequence[str]) -> dict[str, Any]:
    first = painted[0]
    values, job = first.job.values, first.job
    prompts = [str(each.job.values.get("prompt", "")) for each in painted]
    negatives = [str(each.job.values.get("negative", "")) for each in painted]
    seeds = [int(each.job.values.get("seed", -1)) for each in painted]
    sampler, scheduler = _sampling(job)
    return {
        "prompt": prompts[0],
        "all_prompts": prompts,
        "negative_prompt": negatives[0],
        "all_negative_prompts": negatives,
        "seed": seeds[0],
        "all_seeds": seeds,
        "subseed": seeds[0],
        "all_subseeds": seeds,
        "subseed_strength": 0,
        "width": first.asset.width,
        "height": first.asset.height,
        "sampler_name": sampler,
        "cfg_scale": values.get("cfg"),
        "steps": values.get("steps"),
        "batch_size": values.get("batch", 1),
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": _model(job, model),
        "sd_model_hash": None,
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": values.get("denoise"),
        "extra_generation_params": {"Schedule type": scheduler} if scheduler else {},
        "index_of_first_image": 0,
        "infotexts": [each.infotext for each in painted],
        "styles": [] if job.style is None else [job.style],
        "job_timestamp": job.created.strftime("%Y%m%d%H%M%S"),
        "clip_skip": 1,
        "is_using_inpainting_conditioning": False,
        "version": _VERSION,
        "notes": [*notes, *dict.fromkeys(warning for each in painted for warning in each.job.warnings)],
    }


def _infotext(job: Job, asset: Asset, model: str | None) -> str:
    """The lines that A1111 writes below a picture; the last one is always its facts."""
    values = job.values
    sampler, scheduler = _sampling(job)
    facts = {
        "Steps": values.get("steps"),
        "Sampler": sampler,
        "Schedule type": scheduler,
        "CFG scale": values.get("cfg"),
        "Seed": values.get("seed"),
        "Size": f"{asset.width}x{asset.height}",
        "Model": _model(job, model),
        "Denoising strength": values.get("denoise") if values.get("denoise") != 1 else None,
        "Style": job.style,
        "Version": _VERSION,
    }
    lines = [str(values.get("prompt", ""))]
    if values.get("negative"):
        lines.append(f"Negative prompt: {values['negative']}")
    lines.append(", ".join(f"{name}: {_quoted(fact)}" for name, fact in facts.items() if fact not in (None, "")))
    return "\n".join(lines)


def _quoted(fact: Any) -> str:
    text = str(int(fact) if isinstance(fact, float) and fact.is_integer() else fact)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:\n"') else text


def _sampling(job: Job) -> tuple[str, str]:
    return to_a1111(str(job.values.get("sampler", "")), str(job.values.get("scheduler", "")))


def _model(job: Job, model: str | None) -> str:
    return bare(str(job.values.get(model, ""))) if model else ""
