"""The messages of a chat completion request, with every picture in its place.

Owns how a picture comes into a chat over HTTP: as data URL, as a link to one of the caller's own pictures, or, where
the settings allow it, as an address on the public internet. Whether it is a picture, who takes it in looks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from anyio import to_thread

from comfy_mcp.errors import InvalidParameter, NotFound, TooLarge
from comfy_mcp.jobs import Asset
from comfy_mcp.proxy.links import LINK
from comfy_mcp.workbench import Workbench
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, Message
from llm_bridge.shapes import from_openai

__all__ = ["messages_of"]


_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_PICTURES = ("image_url", "input_image")
_MOST_ADDRESSES = 16


async def messages_of(told: Sequence[Any], workbench: Workbench, owner: str) -> tuple[Message, ...]:
    """The messages of a request's JSON.

    Raises:
        InvalidParameter: one that cannot be understood; it names ``messages``.
        InvalidImage: no whole picture, or an address that is not fetched.
        TooLarge: too large a picture, or too many.
    """
    pictures = _Addresses(workbench, owner)
    placed = [await pictures.placed(message) for message in told]
    try:
        # Decoding what may be many megabytes of base64 is no work for the event loop.
        return await to_thread.run_sync(from_openai, placed) if pictures.seen else from_openai(placed)
    except BadInput as failure:
        raise InvalidParameter("messages", failure.message, hint=failure.hint) from None


class _Addresses:
    """Puts what addresses stand for in their place. What is no message stays, to be refused with its place."""

    def __init__(self, workbench: Workbench, owner: str) -> None:
        self._workbench, self._owner = workbench, owner
        self._left = _MOST_ADDRESSES
        self.seen = False

    async def placed(self, message: Any) -> Any:
        fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
        content = fields.get("content")
        if not isinstance(content, list):
            return cast("Any", message)
        return {**fields, "content": [await self._part(part) for part in cast("list[Any]", content)]}

    async def _part(self, part: Any) -> Any:
        fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
        if fields.get("type") not in _PICTURES:
            return cast("Any", part)
        self.seen = True
        told: Any = fields.get("image_url")
        url: Any = cast("dict[str, Any]", told).get("url") if isinstance(told, dict) else told
        if not isinstance(url, str) or not _ADDRESS.match(url):
            return fields
        return {**fields, "image_url": {"url": await self._data_url(url)}}

    async def _data_url(self, url: str) -> str:
        self._left -= 1
        if self._left < 0:
            raise TooLarge(f"More than {_MOST_ADDRESSES} pictures are addresses.", hint="Send them as data URLs.")
        asset = await self._own(url) or await self._workbench.upload_from(url, self._owner)
        data = await self._workbench.read(asset)
        return await to_thread.run_sync(lambda: Image(data, asset.mime).url)

    async def _own(self, url: str) -> Asset | None:
        """The picture of ours that this is a link to; under which name we are reached does not matter."""
        try:
            found = LINK.fullmatch(urlsplit(url).path)
            return None if found is None else await self._workbench.asset(found[1], self._owner)
        except (ValueError, NotFound):
            return None
