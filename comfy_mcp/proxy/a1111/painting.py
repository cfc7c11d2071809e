"""txt2img and img2img: from A1111's request to jobs of our templates, and from those to its answer.

Owns the order: read and check, keep the pictures, make, answer. Which template serves is the setting `a1111`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.images import mask_in
from comfy_mcp.jobs import JobRequest
from comfy_mcp.proxy.a1111.answers import answer
from comfy_mcp.proxy.a1111.offers import offers_of
from comfy_mcp.proxy.a1111.options import remembered
from comfy_mcp.proxy.a1111.reading import Wanted, read
from comfy_mcp.proxy.asking import Asker, asker_of, object_of, picture_in
from comfy_mcp.proxy.making import Maker
from comfy_mcp.workbench import Workbench

__all__ = ["Pictures", "add_painting", "requests_for"]


class Pictures:
    """Pictures of one caller as they come in a body: base64, a data URL, or an address where the settings allow it."""

    def __init__(self, workbench: Workbench, owner: str) -> None:
        self._workbench = workbench
        self._owner = owner

    async def kept(self, name: str, value: Any) -> str:
        """The id of the picture as an asset. Raises InvalidParameter, InvalidImage, TooLarge."""
        found = await self._told(name, value)
        if isinstance(found, str):
            return (await self._workbench.upload_from(found, self._owner)).id
        return (await self._workbench.upload(found, self._owner)).id

    async def kept_mask(self, name: str, value: Any, *, inverted: bool) -> str:
        """As `kept`, made a mask of."""
        found = await self._told(name, value)
        if isinstance(found, str):
            found = await self._workbench.read(await self._workbench.upload_from(found, self._owner))
        return (await self._workbench.upload(await mask_in(found, inverted=inverted), self._owner)).id

    async def _told(self, name: str, value: Any) -> bytes | str:
        if not isinstance(value, str) or not value:
            raise InvalidParameter(name, f"{name} is no picture.", hint="Send it as base64 or as a data URL.")
        return await picture_in(value, self._workbench.settings.max_body)


def add_painting(api: APIRouter, workbench: Workbench, maker: Maker) -> None:
    @api.post("/txt2img")
    async def txt2img(request: Request) -> JSONResponse:
        """Pictures from words."""
        body = await object_of(request)
        return await painted(request, body, workbench.settings.a1111.txt2img)

    @api.post("/img2img")
    async def img2img(request: Request) -> JSONResponse:
        """A picture made of another, all of it or what is white in the mask."""
        body, settings = await object_of(request), workbench.settings.a1111
        return await painted(request, body, settings.inpaint if body.get("mask") else settings.img2img)

    async def painted(request: Request, body: Mapping[str, Any], template: str) -> JSONResponse:
        asker = asker_of(request)
        offers = await offers_of(workbench, template)
        wanted = read(body, offers, workbench.catalogue.styles, await remembered(workbench, asker.owner))
        wanted.values |= await _pictures(body, offers.template.pictures, Pictures(workbench, asker.owner))
        jobs = await maker.make(requests_for(workbench, template, asker, wanted), request)
        return JSONResponse(await answer(workbench, body, jobs, wanted.notes, offers.model))


def requests_for(workbench: Workbench, template: str, asker: Asker, wanted: Wanted) -> list[JobRequest]:
    """The jobs of one request. A seed that is given counts up from one to the next, as in A1111."""
    settings, batch = workbench.settings.a1111, wanted.values.get("batch") or 1
    requests: list[JobRequest] = []
    for number in range(wanted.runs):
        values, seed = dict(wanted.values), wanted.values.get("seed")
        if number and isinstance(seed, int) and seed >= 0:
            values["seed"] = seed + number * batch
        requests.append(
            JobRequest(
                template=template,
                values=values,
                style=wanted.style,
                owner=asker.owner,
                standing=settings.over(asker.standing),
                default_preset=True,
                free=settings.call_sets,
            )
        )
    return requests


async def _pictures(body: Mapping[str, Any], takes: tuple[str, ...], pictures: Pictures) -> dict[str, str]:
    """The first picture of the request and its mask, kept, for a template that takes them."""
    kept: dict[str, str] = {}
    if "image" in takes:
        told = body.get("init_images")
        listed = cast("list[Any]", told) if isinstance(told, list) else [told]
        kept["image"] = await pictures.kept("init_images", listed[0] if listed else None)
    if "mask" in takes:
        inverted = body.get("inpainting_mask_invert") in (1, True, "1", "true")
        kept["mask"] = await pictures.kept_mask("mask", body.get("mask"), inverted=inverted)
    return kept
