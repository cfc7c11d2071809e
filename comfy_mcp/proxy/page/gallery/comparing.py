"""Two pictures over each other, with a slider between them, and what their recipes do not have in common."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from comfy_mcp.errors import BadRequest
from comfy_mcp.jobs import Job
from comfy_mcp.proxy.asking import Owner
from comfy_mcp.proxy.page.gallery.changing import PICK
from comfy_mcp.proxy.page.gallery.recipes import Difference, different
from comfy_mcp.proxy.page.gallery.titles import titles_of
from comfy_mcp.proxy.page.rendering import document, words_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template

__all__ = ["add_comparing"]


def add_comparing(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    def template_of(job: Job | None) -> Template | None:
        return None if job is None else workbench.catalogue.templates.get(job.template)

    @page.get("/gallery/compare")
    async def compare(request: Request, owner: Owner) -> Response:
        names = [name.removeprefix(PICK) for name in request.query_params if name.startswith(PICK)]
        if len(names) != 2:
            raise BadRequest("Two pictures can be compared, no more and no fewer.", hint="Tick two in the gallery.")
        pairs = [await workbench.gallery.picture(name, owner) for name in names]
        if not all(found.asset.mime.startswith("image/") for found, _ in pairs):
            raise BadRequest("Only pictures can be laid over each other.", hint="Tick two pictures in the gallery.")
        # The older one is what the newer one is compared with.
        (left, left_job), (right, right_job) = sorted(pairs, key=lambda pair: pair[0].made)
        differences: list[Difference] = different(
            left_job, right_job, template_of(right_job), titles_of(workbench, words_of(request))
        )
        return document(request, "gallery/compare.html", left=left, right=right, differences=differences)
