"""`/v1/images`: pictures as OpenAI's clients ask for them.

Owns the two routes. Which template serves is the setting `images`; a model that is the name of a template names that
one. Beside OpenAI's fields a body may hold any parameter of the template.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from comfy_mcp.jobs import JobRequest
from comfy_mcp.proxy.asking import asker_of, form_of, object_of
from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.making import Maker
from comfy_mcp.proxy.openai.images.answers import Answers
from comfy_mcp.proxy.openai.images.bodies import EDIT_BODY, GENERATION_BODY
from comfy_mcp.proxy.openai.images.jobs import jobs_for, template_for
from comfy_mcp.proxy.openai.images.pictures import Edit, in_form, in_json, sending
from comfy_mcp.proxy.openai.images.requests import Wish, wish_of
from comfy_mcp.proxy.openai.images.stream import PictureStream, StreamedPictures
from comfy_mcp.proxy.packing import packed_answer
from comfy_mcp.proxy.pictures import Sending
from comfy_mcp.workbench import Workbench

__all__ = ["add_images"]


def add_images(api: APIRouter, workbench: Workbench, maker: Maker, links: Links) -> None:
    """Add these routes to those of `/v1`."""
    front = _Front(workbench, maker, links)

    @api.post("/images/generations", openapi_extra=GENERATION_BODY, response_class=JSONResponse)
    async def generations(request: Request) -> Response:
        """Pictures from a prompt, as base64 or as links that expire; with `stream`, as Server-Sent Events."""
        wish = wish_of(await object_of(request))
        template = template_for(workbench, wish.model, workbench.settings.images.txt2img)
        asked = await jobs_for(workbench, asker_of(request), template, wish)
        return await front.answer(request, asked, wish, "image_generation")

    @api.post("/images/edits", openapi_extra=EDIT_BODY, response_class=JSONResponse)
    async def edits(request: Request) -> Response:
        """Pictures from a prompt and a picture; where a mask is transparent, the picture is painted anew."""
        fields, sent = await _edit_in(request)
        wish, asker, settings = wish_of(fields), asker_of(request), workbench.settings.images
        template = template_for(workbench, wish.model, settings.inpaint if "mask" in sent else settings.img2img)
        asked = await jobs_for(workbench, asker, template, wish)
        pictures = await sending(workbench, template, sent, asked)
        return await front.answer(request, asked, wish, "image_edit", pictures)


class _Front:
    """What both routes do with their jobs."""

    def __init__(self, workbench: Workbench, maker: Maker, links: Links) -> None:
        self._workbench, self._maker, self._links = workbench, maker, links

    async def answer(
        self, request: Request, asked: list[JobRequest], wish: Wish, kind: str, pictures: Sending | None = None
    ) -> Response:
        answers = Answers(self._workbench, self._links, request, wish.look)
        if wish.partials is not None:
            stream = PictureStream(self._maker, answers, wish.look, kind, wish.partials)
            return StreamedPictures(self._maker.jobs(asked, request, pictures), stream)
        return await packed_answer(await answers.whole(await self._maker.make(asked, request, pictures)))


async def _edit_in(request: Request) -> Edit:
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        return in_json(await object_of(request, pictures=True))
    async with form_of(request) as form:
        return await in_form(form)
