"""Upscaling, which A1111 calls extras, and reading back how a picture was made.

Owns those three requests and their answers (`modules/api/api.py`). Which template serves is the setting `a1111`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from fastapi import APIRouter, Request, Response

from comfy_mcp.errors import InvalidImage, InvalidParameter
from comfy_mcp.jobs import Asset, JobRequest
from comfy_mcp.proxy.a1111.answers import as_png, pictures_of
from comfy_mcp.proxy.a1111.listing import size_of
from comfy_mcp.proxy.a1111.offers import Offers, offers_of
from comfy_mcp.proxy.a1111.painting import picture_of, requests_for
from comfy_mcp.proxy.a1111.png_text import parameters_of, texts_of
from comfy_mcp.proxy.a1111.reading import MOST_PICTURES, Wanted
from comfy_mcp.proxy.asking import asker_of, object_of, picture_in
from comfy_mcp.proxy.making import Maker
from comfy_mcp.proxy.packing import packed_answer
from comfy_mcp.proxy.pictures import Kept, Sending, with_pictures
from comfy_mcp.workbench import Workbench

__all__ = ["add_enlarging"]

_USUAL_FACTOR = 2.0
_MODEL, _SCALE = "upscale_model", "scale"


def add_enlarging(api: APIRouter, workbench: Workbench, maker: Maker) -> None:
    async def enlarged(request: Request, body: Mapping[str, Any], told: list[Any]) -> tuple[list[bytes], str]:
        template, asker = workbench.settings.a1111.upscale, asker_of(request)
        offers = await offers_of(workbench, template)
        sent = [await picture_of("image", each, workbench) for each in told]
        wanted, factor = _wanted(body, offers), _factor(body)
        (one,) = requests_for(workbench, template, asker, wanted)

        async def complete(kept: Kept) -> list[JobRequest]:
            assets = [await kept.keep(content) for content in sent]
            scaled = [_scaled(one, offers, factor(asset), wanted.notes) for asset in assets]
            return [with_pictures(each, {"image": asset}) for each, asset in zip(scaled, assets, strict=True)]

        jobs = await maker.make([one], request, Sending(("image",), complete))
        notes = [*wanted.notes, *(note for job in jobs for note in job.warnings)]
        made = [await as_png(workbench, asset) for _, asset in pictures_of(jobs)]
        return made, "".join(f"<p>{html.escape(note)}</p>" for note in dict.fromkeys(notes))

    @api.post("/extra-single-image")
    async def single(request: Request) -> Response:
        """One picture, larger."""
        body = await object_of(request, pictures=True)
        made, told = await enlarged(request, body, [body.get("image")])
        return await packed_answer({"html_info": told, "image": made[0]})

    @api.post("/extra-batch-images")
    async def batch(request: Request) -> Response:
        """Several pictures, larger."""
        body = await object_of(request, pictures=True)
        made, told = await enlarged(request, body, _listed(body.get("imageList")))
        return await packed_answer({"html_info": told, "images": made})

    @api.post("/png-info")
    async def png_info(request: Request) -> Response:
        """How a picture was made, as far as it says so."""
        told = (await object_of(request, pictures=True)).get("image")
        if not isinstance(told, str) or not told.strip():
            raise InvalidParameter("image", "image is no picture.", hint="Send it as base64 or as a data URL.")
        data = await picture_in(told.strip(), workbench.settings.max_body)
        if isinstance(data, str):
            raise InvalidImage("Addresses are not fetched for this.", hint="Send the picture as base64.")
        texts = await texts_of(data)
        info = texts.pop("parameters", "")
        return await packed_answer({"info": info, "items": texts, "parameters": parameters_of(info) if info else {}})


def _wanted(body: Mapping[str, Any], offers: Offers) -> Wanted:
    """What does not depend on the picture."""
    wanted, name = Wanted(), body.get("upscaler_1")
    if isinstance(name, str) and name not in ("", "None"):
        model = offers.match(_MODEL, name)
        if model is None:
            wanted.notes.append(f"The upscaler {name[:64]!r} is not to be had here; the default was taken.")
        else:
            wanted.values[_MODEL] = model
    return wanted


def _factor(body: Mapping[str, Any]) -> Callable[[Asset], float]:
    """How many times larger a picture is to be; to fill a size, by the side that needs more."""
    if body.get("resize_mode") in (1, "1"):
        across, down = (_number(body, f"upscaling_resize_{side}", 512.0) for side in ("w", "h"))
        return lambda asset: max(across / (asset.width or 1), down / (asset.height or 1))
    times = _number(body, "upscaling_resize", _USUAL_FACTOR)
    return lambda asset: times


def _scaled(asked: JobRequest, offers: Offers, factor: float, notes: list[str]) -> JobRequest:
    """The same so many times as large. The template's scale is of what its model makes of a picture."""
    parameter = offers.template.parameters.get(_SCALE)
    if parameter is None:
        return asked
    model = asked.values.get(_MODEL) or next(iter(offers.choices(_MODEL) or ()), "")
    scale = factor / size_of(str(model))
    bounded = min(max(scale, parameter.min or 0.0), scale if parameter.max is None else parameter.max)
    if bounded != scale:
        notes.append(f"{factor:g} times is not to be had here; it is {bounded * size_of(str(model)):g} times.")
    return replace(asked, values={**asked.values, _SCALE: round(bounded, 4)})


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
