"""Pictures that tests send, and what comes back, decoded."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
from PIL import Image

__all__ = ["encoded", "jobs_in", "mask", "only", "plain", "shown"]


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def plain(width: int = 96, height: int = 64, color: str = "red") -> bytes:
    return encoded(Image.new("RGB", (width, height), color))


def mask(width: int = 96, height: int = 64) -> bytes:
    """As OpenAI has it: the left half is transparent, which is where to paint."""
    image = Image.new("RGBA", (width, height), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, width // 2, height))
    return encoded(image)


def shown(data: bytes | str) -> Image.Image:
    """A picture from its bytes or base64, decoded in full."""
    image = Image.open(io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data))
    image.load()
    return image


def only(answer: httpx.Response) -> dict[str, Any]:
    """The one picture in an answer."""
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["data"]
    return found


async def jobs_in(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Every job that was ever queued, oldest first."""
    return list(reversed((await http.get("/api/v1/jobs")).json()["jobs"]))
