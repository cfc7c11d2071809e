"""txt2img and img2img: from A1111's request to jobs of our templates, and from those to its answer.

Owns the order: read, check, take in the pictures, make, answer. Which template serves is the setting `a1111`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import APIRouter, Request, Response

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.images import mask_in
from comfy_mcp.jobs import Asset, JobRequest
from comfy_mcp.proxy.a1111.answers import answer
from comfy_mcp.proxy.a1111.offers import offers_of
from comfy_mcp.proxy.a1111.options import remembered
from comfy_mcp.proxy.a1111.reading import Wanted, read
from comfy_mcp.proxy.asking import Asker, asker_of, object_of, picture_in
from comfy_mcp.proxy.making import Maker
from comfy_mcp.proxy.packing import packed_answer
from comfy_mcp.proxy.pictures import Kept, Sending, with_pictures
from comfy_mcp.workbench import Workbench

__all__ = ["add_painting", "picture_of", "requests_for"]


async def picture_of(name: str, value: Any, workbench: Workbench) -> bytes | str:
    """A picture as it comes in a body: base64, a data URL, or an address, which is not fetched yet.

    Raises InvalidParameter, InvalidImage, TooLarge.
    """
    if not isinstance(value, str) or not value:
        raise InvalidParameter(name, f"{name} is no picture.", hint="Send it as base64 or as a data URL.")
    return await picture_in(value, workbench.settings.max_body)


def add_painting(api: APIRouter, workbench: Workbench, maker: Maker) -> None:
    @api.post("/txt2img")
    async def txt2img(request: Request) -> Response:
        """Pictures from words."""
        body = await object_of(request, pictures=True)
        return await painted(request, body, workbench.settings.a1111.txt2img)

    @api.post("/img2img")
    async def img2img(request: Request) -> Response:
        """A picture made of another, all of it or what is white in the mask."""
        body, settings = await object_of(request, pictures=True), workbench.settings.a1111
        return await painted(request, body, settings.inpaint if body.get("mask") else settings.img2img)

    async def painted(request: Request, body: Mapping[str, Any], template: str) -> Response:
        asker = asker_of(request)
        offers = await offers_of(workbench, template)
        wanted = read(body, offers, workbench.catalogue.styles, await remembered(workbench, asker.owner))
        asked = requests_for(workbench, template, asker, wanted)
        jobs = await maker.make(asked, request, await _sending(workbench, body, offers.template.pictures, asked))
        return await packed_answer(await answer(workbench, body, jobs, wanted.notes, offers.model))


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


async def _sending(
    workbench: Workbench, body: Mapping[str, Any], takes: tuple[str, ...], asked: Sequence[JobRequest]
) -> Sending | None:
    """The first picture of the request and its mask, for a template that takes them."""
    sent: dict[str, bytes | str] = {}
    if "image" in takes:
        told = body.get("init_images")
        listed = cast("list[Any]", told) if isinstance(told, list) else [told]
        sent["image"] = await picture_of("init_images", listed[0] if listed else None, workbench)
    if "mask" in takes:
        sent["mask"] = await picture_of("mask", body.get("mask"), workbench)
    inverted = body.get("inpainting_mask_invert") in (1, True, "1", "true")

    async def complete(kept: Kept) -> list[JobRequest]:
        found: dict[str, Asset] = {}
        for name, content in sent.items():
            if name == "mask":
                content = await mask_in(await kept.data_of(content), inverted=inverted)
            found[name] = await kept.keep(content)
        return [with_pictures(each, found) for each in asked]

    return Sending(tuple(sent), complete) if sent else None
