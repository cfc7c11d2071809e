"""The contact sheet, drawn off the event loop. Used by the workbench."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_mcp.images.threads import run_slow

__all__ = ["contact_sheet", "side_of_cell"]

_SHEET_PIXELS = 3_200_000
"""All cells together: a sheet is looked at as a whole, and its cells are there one by one."""

_LARGEST, _SMALLEST = 512, 128


def side_of_cell(cells: int) -> int:
    """The longer side of each of so many pictures on a sheet, in pixels."""
    return max(_SMALLEST, min(_LARGEST, int((_SHEET_PIXELS / max(1, cells)) ** 0.5)))


async def contact_sheet(
    columns: Sequence[str], rows: Sequence[str], cells: Sequence[bytes | str], *, title: str = ""
) -> bytes:
    """As `sheet.draw_sheet`; the pictures should be no larger than `side_of_cell` says."""

    def draw() -> bytes:
        from comfy_mcp.images.sheet import draw_sheet

        return draw_sheet(columns, rows, cells, side_of_cell(len(cells)), title=title)

    return await run_slow(draw, pixels=2 * _SHEET_PIXELS)
