"""The one gate of pictures: what each is, whether it is whole and small enough, before any decoder sees it.

Owns the order of the checks. AVIF alone is measured by its own library, which a stranger's file could break: in a
process that may be killed. Used by whatever looks at a picture or makes something of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy_mcp.images.decoder import Made, measure_elsewhere, run_decoder
from comfy_mcp.images.limits import Limits
from comfy_mcp.images.recordings import check_recording
from comfy_mcp.images.sniffing import sniff
from comfy_mcp.images.structure import Structure, read_structure
from comfy_mcp.images.threads import run_quick

__all__ = ["Admitted", "admit"]

_AVIF = "image/avif"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A picture that is whole and within its limits."""

    data: bytes
    mime: str
    structure: Structure

    async def run(self, task: str, **given: Any) -> Made:
        """Run the task of that name in `tasks` on it. Raises as `decoder.run_decoder`."""
        return await run_decoder(task, self.data, self.structure, self.mime, given)


async def admit(data: bytes, limits: Limits) -> Admitted:
    """Name, check and measure a picture; nothing of it is decoded.

    Raises:
        InvalidImage: it is no picture, cut off or damaged.
        TooLarge: it is over ``limits``.
    """
    mime = sniff(data).mime
    structure = await _structure(data, mime)
    limits.check(structure.width, structure.height, structure.frames, mime)
    return Admitted(data, mime, structure)


async def _structure(data: bytes, mime: str) -> Structure:
    if mime != _AVIF:
        return await run_quick(lambda: read_structure(data, mime))
    # Its size is spread over nested boxes, which we do not walk.
    await run_quick(lambda: check_recording(data, mime))
    found = await measure_elsewhere(data, mime)
    return Structure(found.width, found.height, found.frames)
