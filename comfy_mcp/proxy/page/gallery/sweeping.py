"""Sweeps: the list of them, and each as a sheet whose cells fill while one watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.errors import Conflict, NotFound
from comfy_mcp.jobs import Job
from comfy_mcp.proxy.asking import Owner
from comfy_mcp.proxy.page.gallery.titles import title_of
from comfy_mcp.proxy.page.rendering import document, part, words_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.sweeps import Sweep

__all__ = ["add_sweeping"]

_MOST_LISTED = 100


def add_sweeping(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    async def found(sweep: str, owner: str) -> Sweep:
        kept = await workbench.sweeps.find(sweep, owner)
        if kept is None:
            raise NotFound("There is no such sweep.", hint="The gallery lists those that are kept.")
        return kept

    async def shown(sweep: str, request: Request, owner: str) -> dict[str, Any]:
        kept = await found(sweep, owner)
        cells = await workbench.sweeps.cells(kept, owner)
        width = len(kept.across.values)
        return {
            "sweep": kept,
            "rows": [cells[at : at + width] for at in range(0, len(cells), width)],
            "notes": _notes_of_all(cells),
            "done": sum(cell.state.terminal for cell in cells),
            "title": title_of(kept.template, workbench, words_of(request)),
        }

    @page.get("/gallery/sweeps")
    async def sweeps(request: Request, owner: Owner) -> Response:
        kept = (await workbench.sweeps.of(owner))[:_MOST_LISTED]
        listed = [(sweep, title_of(sweep.template, workbench, words_of(request))) for sweep in kept]
        return document(request, "gallery/sweeps.html", listed=listed)

    @page.get("/gallery/sweeps/{sweep}")
    async def sheet(sweep: str, request: Request, owner: Owner) -> Response:
        return document(request, "gallery/sweep.html", **await shown(sweep, request, owner))

    @page.get("/gallery/sweeps/{sweep}/cells")
    async def cells(sweep: str, request: Request, owner: Owner) -> Response:
        return part(request, "gallery/_cells.html", **await shown(sweep, request, owner))

    @page.post("/gallery/sweeps/{sweep}/cancel")
    async def cancel(sweep: str, owner: Owner) -> Response:
        kept = await found(sweep, owner)
        await workbench.sweeps.cancel(kept, owner)
        return RedirectResponse(f"/gallery/sweeps/{kept.id}", 303)

    @page.post("/gallery/sweeps/{sweep}/sheet")
    async def whole(sweep: str, owner: Owner) -> Response:
        kept = await found(sweep, owner)
        if not all(cell.state.terminal for cell in await workbench.sweeps.cells(kept, owner)):
            raise Conflict("Some cells are still being made.", hint="Wait until all have ended.")
        return RedirectResponse(f"/gallery/{(await workbench.sweeps.sheet(kept, owner)).id}", 303)


def _notes_of_all(cells: Sequence[Job]) -> list[str]:
    """The warnings that every cell has: said once, not in each."""
    first, *others = cells
    return [note for note in dict.fromkeys(first.warnings) if all(note in cell.warnings for cell in others)]
