"""The options of A1111 that clients read and write: which checkpoint is chosen, and a few that never change.

Owns what is kept of them: the checkpoint, for each owner. All others that a client sends are ignored, and none that is
told could hold a secret.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.proxy.a1111.offers import Offers, offers_of, without_hash
from comfy_mcp.proxy.asking import Owner, object_of
from comfy_mcp.store import Record
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import checked, describe, offered

__all__ = ["add_options", "remembered"]

_KIND, _NAME = "a1111", "options"
_CHECKPOINT = "sd_model_checkpoint"
_FIXED: dict[str, Any] = {
    "sd_checkpoint_hash": None,
    "sd_vae": "Automatic",
    "samples_format": "png",
    "grid_format": "png",
    "CLIP_stop_at_last_layers": 1,
    "eta_noise_seed_delta": 0,
    "enable_pnginfo": True,
    "return_grid": False,
    "img2img_fix_steps": False,
    "show_progress_every_n_steps": 1,
    "live_previews_enable": True,
    "live_previews_image_format": "jpeg",
}


def add_options(api: APIRouter, workbench: Workbench) -> None:
    @api.get("/options")
    async def options(owner: Owner) -> JSONResponse:
        """What is set now."""
        offers = await offers_of(workbench, workbench.settings.a1111.txt2img)
        chosen = await remembered(workbench, owner)
        return JSONResponse({_CHECKPOINT: chosen or _usual(offers), **_FIXED})

    @api.post("/options")
    async def set_options(request: Request, owner: Owner) -> Response:
        """Choose a checkpoint for all further requests of this owner that name none."""
        told = (await object_of(request)).get(_CHECKPOINT)
        if told is not None and told != "":
            offers = await offers_of(workbench, workbench.settings.a1111.txt2img)
            value = {_CHECKPOINT: _chosen(offers, told)}
            await workbench.store.keep_record(Record(owner, _KIND, _NAME, value))
        return JSONResponse(None)


async def remembered(workbench: Workbench, owner: str) -> str | None:
    """The checkpoint that this owner chose."""
    kept = await workbench.store.record(owner, _KIND, _NAME)
    return None if kept is None else str(kept[_CHECKPOINT])


def _chosen(offers: Offers, title: Any) -> str:
    if offers.model is None:
        raise InvalidParameter(
            _CHECKPOINT,
            f"The workflow {offers.template.id} takes no checkpoint.",
            hint="Let another one serve txt2img, or leave it out.",
        )
    parameter = offers.template.parameters[offers.model]
    named = without_hash(title) if isinstance(title, str) else title
    return str(checked(_CHECKPOINT, parameter, named, choices=offered(parameter, offers.info)))


def _usual(offers: Offers) -> str:
    """The checkpoint that is taken when nobody chooses one."""
    parameters = describe(offers.template, object_info=offers.info)["parameters"]
    return next((str(each["default"] or "") for each in parameters if each["name"] == offers.model), "")
