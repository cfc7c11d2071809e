"""Pictures inside messages: base64 becomes bytes, within limits and only if it is a picture. Fetches nothing."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from llm_bridge.errors import BadInput
from llm_bridge.messages import Image

__all__ = ["LIMITS", "ImageLimits", "Pictures"]


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """How many pictures one list of messages may hold, and how many ``bytes`` together."""

    images: int = 64
    bytes: int = 64 * 1024 * 1024


LIMITS = ImageLimits()


class Pictures:
    """Reads the pictures of one list of messages, and counts them."""

    def __init__(self, limits: ImageLimits) -> None:
        self._images = limits.images
        self._bytes = limits.bytes

    def from_url(self, url: str, where: str) -> Image:
        """From a data URL.

        Raises: BadInput, also for an address: what is not in the message is not fetched.
        """
        if url[:8].lower().startswith(("http:", "https:")):
            raise BadInput(f"{where} is an address.", hint="Put the picture in as a data URL: nothing is fetched.")
        head, comma, data = url.partition(",")
        if not (comma and head.lower().startswith("data:") and head.lower().endswith(";base64")):
            raise BadInput(f"{where} is no data URL.", hint='It must begin like "data:image/png;base64,".')
        return self.from_base64(data, where)

    def from_base64(self, data: str, where: str) -> Image:
        """Its type is what the bytes say.

        Raises: BadInput.
        """
        self._images -= 1
        if self._images < 0:
            raise BadInput(f"{where} is one picture too many.", hint="Send fewer pictures.")
        if len(data) * 3 // 4 > self._bytes + 3:
            raise self._too_large(where)
        try:
            decoded = base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            raise BadInput(f"{where} is no valid base64.") from None
        self._bytes -= len(decoded)
        if self._bytes < 0:
            raise self._too_large(where)
        try:
            return Image.of(decoded)
        except BadInput as failure:
            raise BadInput(f"{where} is no PNG, JPEG, WebP or GIF.", hint=failure.hint) from None

    def _too_large(self, where: str) -> BadInput:
        return BadInput(f"{where} makes the pictures too large.", hint="Send smaller pictures, or fewer.")
