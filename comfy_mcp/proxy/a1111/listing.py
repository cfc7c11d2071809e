"""The lists of A1111: models, samplers, styles and the rest, each of what can be chosen now.

Owns their shapes (`modules/api/models.py`). No path and no hash of a file is told: names are all there is. When no
ComfyUI ever answered, what only it could tell is not listed.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from comfy_mcp.proxy.a1111.names import SAMPLERS, SCHEDULERS
from comfy_mcp.proxy.a1111.offers import Offers, bare, offers_of
from comfy_mcp.workbench import Workbench

__all__ = ["add_lists", "size_of"]

_USUAL_SCALE = 4
_TIMES = re.compile(r"(?<![0-9])([1-8])[xX]|[xX]([1-8])(?![0-9])")
_UNTOLD = {"error": "not told"}
_CONSTANT: Mapping[str, Any] = {
    "latent-upscale-modes": [],
    "hypernetworks": [],
    "face-restorers": [],
    "realesrgan-models": [],
    "embeddings": {"loaded": {}, "skipped": {}},
    "scripts": {"txt2img": [], "img2img": []},
    "script-info": [],
    "extensions": [],
    "cmd-flags": {"api": True},
    "memory": {"ram": _UNTOLD, "cuda": _UNTOLD},
}
"""What ComfyUI has nothing like, and what is nobody's business."""

_NOTHING_TO_DO: Mapping[str, Any] = {
    "refresh-checkpoints": None,
    "refresh-vae": None,
    "reload-checkpoint": {},
    "unload-checkpoint": {},
}
"""Orders with their answers. Lists are never old, and what is loaded is decided by who waits, not by one caller."""


def add_lists(api: APIRouter, workbench: Workbench) -> None:
    _add_live(api, workbench)
    for path, told in _CONSTANT.items():
        api.add_api_route(f"/{path}", _answering(told), methods=["GET"])
    for path, told in _NOTHING_TO_DO.items():
        api.add_api_route(f"/{path}", _answering(told), methods=["POST"])


def _add_live(api: APIRouter, workbench: Workbench) -> None:
    async def painting() -> Offers:
        return await offers_of(workbench, workbench.settings.a1111.txt2img)

    @api.get("/sd-models")
    async def models() -> JSONResponse:
        offers = await painting()
        return JSONResponse([_model(name) for name in (offers.model and offers.choices(offers.model)) or ()])

    @api.get("/sd-vae")
    async def vaes() -> JSONResponse:
        found = (await painting()).choices("vae") or []
        return JSONResponse([{"model_name": name, "filename": name} for name in found])

    @api.get("/loras")
    async def loras() -> JSONResponse:
        found = (await painting()).choices("lora") or []
        return JSONResponse([{"name": bare(name), "alias": bare(name), "path": name, "metadata": {}} for name in found])

    @api.get("/samplers")
    async def samplers() -> JSONResponse:
        return JSONResponse(_samplers((await painting()).choices("sampler")))

    @api.get("/schedulers")
    async def schedulers() -> JSONResponse:
        return JSONResponse(_schedulers((await painting()).choices("scheduler")))

    @api.get("/upscalers")
    async def upscalers() -> JSONResponse:
        offers = await offers_of(workbench, workbench.settings.a1111.upscale)
        found = offers.choices("upscale_model") or []
        return JSONResponse([_upscaler("None", None), *(_upscaler(bare(name), size_of(name)) for name in found)])

    @api.get("/prompt-styles")
    async def styles() -> JSONResponse:
        found = workbench.catalogue.styles.items()
        return JSONResponse(
            [{"name": name, "prompt": each.prompt, "negative_prompt": each.negative} for name, each in found]
        )


def size_of(upscaler: str) -> int:
    """How many times larger a model makes a picture, by its name; most say it, and those that do not make it 4."""
    found = _TIMES.search(upscaler)
    return int(found[1] or found[2]) if found else _USUAL_SCALE


def _answering(told: Any) -> Callable[[], Awaitable[JSONResponse]]:
    async def answering() -> JSONResponse:
        return JSONResponse(told)

    return answering


def _model(name: str) -> dict[str, Any]:
    return {"title": name, "model_name": bare(name), "hash": None, "sha256": None, "filename": name, "config": None}


def _upscaler(name: str, scale: int | None) -> dict[str, Any]:
    return {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": scale or 1}


def _samplers(offered: list[str] | None) -> list[dict[str, Any]]:
    """A1111's names first, then those that only ComfyUI has; all of A1111's when nobody knows."""
    ours = [each for each in SAMPLERS if offered is None or each.own in offered]
    covered = {each.own for each in ours}
    more = [name for name in offered or () if name not in covered]
    return [
        *({"name": each.name, "aliases": [*each.aliases, each.own], "options": {}} for each in ours),
        *({"name": name, "aliases": [], "options": {}} for name in more),
    ]


def _schedulers(offered: list[str] | None) -> list[dict[str, Any]]:
    ours = [each for each in SCHEDULERS if offered is None or each.own in offered]
    covered = {each.own for each in ours}
    more = [(name, name) for name in offered or () if name not in covered]
    named = [("automatic", "Automatic"), *((each.name, each.label) for each in ours), *more]
    return [
        {"name": name, "label": label, "aliases": None, "default_rho": -1.0, "need_inner_model": False}
        for name, label in named
    ]
