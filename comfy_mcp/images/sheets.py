"""The contact sheet, drawn off the event loop. Used by the workbench."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_mcp.images.threads import run_slow

__all__ = ["contact_sheet"]

_PIXELS_OF_A_CELL = 1_000_000


async def contact_sheet(
    columns: Sequence[str], rows: Sequence[str], cells: Sequence[bytes | str], *, title: str = ""
) -> bytes:
    """As `sheet.draw_sheet`."""

    def draw() -> bytes:
        from comfy_mcp.images.sheet import draw_sheet

        return draw_sheet(columns, rows, cells, title=title)

    return await run_slow(draw, pixels=_PIXELS_OF_A_CELL * len(cells))
