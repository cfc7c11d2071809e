"""Upscaling, which A1111 calls extras, and reading back how a picture was made.

Owns those three requests and their answers (`modules/api/api.py`). Which template serves is the setting `a1111`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from comfy_mcp.errors import InvalidImage, InvalidParameter
from comfy_mcp.proxy.a1111.answers import encoded, pictures_of
from comfy_mcp.proxy.a1111.listing import size_of
from comfy_mcp.proxy.a1111.offers import Offers, offers_of
from comfy_mcp.proxy.a1111.painting import Pictures, requests_for
from comfy_mcp.proxy.a1111.png_text import parameters_of, texts_of
from comfy_mcp.proxy.a1111.reading import MOST_PICTURES, Wanted
from comfy_mcp.proxy.asking import Asker, asker_of, object_of, picture_in
from comfy_mcp.proxy.making import Maker
from comfy_mcp.workbench import Workbench

__all__ = ["add_enlarging"]

_USUAL_FACTOR = 2.0
_MODEL, _SCALE = "upscale_model", "scale"


def add_enlarging(api: APIRouter, workbench: Workbench, maker: Maker) -> None:
    async def enlarged(request: Request, body: Mapping[str, Any], pictures: list[Any]) -> tuple[list[str], str]:
        template, asker = workbench.settings.a1111.upscale, asker_of(request)
        offers = await offers_of(workbench, template)
        wanted = [await _wanted(workbench, body, offers, asker, each) for each in pictures]
        asked = [job for each in wanted for job in requests_for(workbench, template, asker, each)]
        jobs = await maker.make(asked, request)
        notes = [*(note for each in wanted for note in each.notes), *(note for job in jobs for note in job.warnings)]
        made = [await encoded(workbench, asset) for _, asset in pictures_of(jobs)]
        return made, "".join(f"<p>{html.escape(note)}</p>" for note in dict.fromkeys(notes))

    @api.post("/extra-single-image")
    async def single(request: Request) -> JSONResponse:
        """One picture, larger."""
        body = await object_of(request)
        made, told = await enlarged(request, body, [body.get("image")])
        return JSONResponse({"html_info": told, "image": made[0]})

    @api.post("/extra-batch-images")
    async def batch(request: Request) -> JSONResponse:
        """Several pictures, larger."""
        body = await object_of(request)
        made, told = await enlarged(request, body, _listed(body.get("imageList")))
        return JSONResponse({"html_info": told, "images": made})

    @api.post("/png-info")
    async def png_info(request: Request) -> JSONResponse:
        """How a picture was made, as far as it says so."""
        told = (await object_of(request)).get("image")
        if not isinstance(told, str) or not told.strip():
            raise InvalidParameter("image", "image is no picture.", hint="Send it as base64 or as a data URL.")
        data = await picture_in(told.strip(), workbench.settings.max_body)
        if isinstance(data, str):
            raise InvalidImage("Addresses are not fetched for this.", hint="Send the picture as base64.")
        texts = await texts_of(data)
        info = texts.pop("parameters", "")
        return JSONResponse({"info": info, "items": texts, "parameters": parameters_of(info) if info else {}})


async def _wanted(workbench: Workbench, body: Mapping[str, Any], offers: Offers, asker: Asker, told: Any) -> Wanted:
    wanted = Wanted()
    name = body.get("upscaler_1")
    if isinstance(name, str) and name not in ("", "None"):
        wanted.values[_MODEL] = offers.match(_MODEL, name)
        if wanted.values[_MODEL] is None:
            wanted.notes.append(f"The upscaler {name[:64]!r} is not to be had here; the default was taken.")
    asset = await workbench.asset(await Pictures(workbench, asker.owner).kept("image", told), asker.owner)
    wanted.values["image"] = asset.id
    factor = _factor(body, asset.width or 1, asset.height or 1)
    if _SCALE in offers.template.parameters:
        _set_scale(wanted, offers, factor)
    wanted.values = {name: value for name, value in wanted.values.items() if value is not None}
    return wanted


def _factor(body: Mapping[str, Any], width: int, height: int) -> float:
    """How many times larger; to fill a size, by the side that needs more."""
    if body.get("resize_mode") in (1, "1"):
        across, down = (_number(body, f"upscaling_resize_{side}", 512.0) for side in ("w", "h"))
        return max(across / width, down / height)
    return _number(body, "upscaling_resize", _USUAL_FACTOR)


def _set_scale(wanted: Wanted, offers: Offers, factor: float) -> None:
    """The template's scale is of what its model makes of a picture."""
    parameter = offers.template.parameters[_SCALE]
    model = wanted.values.get(_MODEL) or next(iter(offers.choices(_MODEL) or ()), "")
    scale = factor / size_of(str(model))
    bounded = min(max(scale, parameter.min or 0.0), scale if parameter.max is None else parameter.max)
    if bounded != scale:
        wanted.notes.append(f"{factor:g} times is not to be had here; it is {bounded * size_of(str(model)):g} times.")
    wanted.values[_SCALE] = round(bounded, 4)


def _number(body: Mapping[str, Any], name: str, usual: float) -> float:
    value = body.get(name)
    if value is None or value == "":
        return usual
    try:
        number = float(value) if isinstance(value, str | int | float) else 0.0
    except (ValueError, OverflowError):
        number = 0.0
    if not 0 < number < 100_000:
        raise InvalidParameter(name, f"{name} is out of range.", hint="Give a number above 0, such as 2.")
    return number


def _listed(told: Any) -> list[Any]:
    listed = cast("list[Any]", told) if isinstance(told, list) else []
    if not 0 < len(listed) <= MOST_PICTURES:
        raise InvalidParameter("imageList", "imageList is no list of pictures.", hint=f"Give 1 to {MOST_PICTURES}.")
    return [cast("dict[str, Any]", each).get("data") if isinstance(each, dict) else each for each in listed]
