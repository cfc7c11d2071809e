"""Finished jobs as OpenAI's clients read them: the pictures in the format that was asked for, inside or as links.

Owns the shape of the answer (openai-python, types/images_response.py). Used by the routes and by the stream.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from comfy_mcp import images
from comfy_mcp.errors import OutputUnreadable
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.openai.images.requests import Look
from comfy_mcp.workbench import Workbench

__all__ = ["NO_TOKENS", "Answers", "background_of", "made_by", "size_of"]

NO_TOKENS: dict[str, Any] = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
"""Nothing is counted here, but clients reckon with the numbers."""
_QUALITIES = ("low", "medium", "high", "xhigh", "max")


class Answers:
    """Answers one request in one look."""

    def __init__(self, workbench: Workbench, links: Links, request: Request, look: Look) -> None:
        self._workbench, self._links, self._request = workbench, links, request
        self._look = look

    async def whole(self, jobs: Sequence[Job]) -> dict[str, Any]:
        """All pictures of these jobs, which succeeded, to be packed. Raises OutputUnreadable when there is none."""
        made = made_by(jobs)
        quality = self._look.quality
        return {
            "created": int(time.time()),
            "data": [await self._one(asset, jobs[0].owner) for asset in made],
            "background": background_of(jobs[0], self._look),
            "output_format": self._look.format,
            "size": size_of(made[0]),
            "usage": NO_TOKENS,
            # The clients know no other words here.
            **({"quality": quality} if quality in _QUALITIES else {}),
        }

    async def _one(self, asset: Asset, owner: str) -> dict[str, Any]:
        if not self._look.url:
            return {"b64_json": await self.encoded(asset)}
        look = self._look
        if asset.mime != look.mime or look.encoding is not None:
            asset = await self._workbench.upload(await self.encoded(asset), owner)
        return {"url": self._links.public(asset, self._request) or ""}

    async def encoded(self, asset: Asset) -> bytes:
        """The picture in its format."""
        data = await self._workbench.read(asset)
        return await images.convert(data, self._look.mime, quality=self._look.encoding)


def made_by(jobs: Sequence[Job]) -> list[Asset]:
    """Their pictures, in order. Raises OutputUnreadable when there is none."""
    made = [asset for job in jobs for asset in job.assets if asset.mime.startswith("image/")]
    if not made:
        raise OutputUnreadable("The workflow made no picture.", hint="Name one that makes pictures as the model.")
    return made


def background_of(job: Job, look: Look) -> str:
    """What is behind what the picture shows. Of a template that can leave that out, its value says; JPEG cannot."""
    transparent = job.values.get("background") == "transparent" and look.format != "jpeg"
    return "transparent" if transparent else "opaque"


def size_of(asset: Asset) -> str:
    return f"{asset.width}x{asset.height}"
