"""The messages of a chat completion request, with every picture in its place.

Owns how a picture comes into a chat over HTTP: as data URL, as a link to one of the caller's own pictures, or, where
the settings allow it, as an address on the public internet. Whether it is a picture, who takes it in looks. Nothing of
it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from anyio import to_thread

from comfy_mcp import images
from comfy_mcp.errors import InvalidParameter, TooLarge
from comfy_mcp.jobs import JobRequest
from comfy_mcp.proxy.openai.linked import Linked, own_picture
from comfy_mcp.texts import CHAT
from comfy_mcp.workbench import Workbench
from llm_bridge.chat import ChatRequest
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, Message, Part
from llm_bridge.shapes import from_openai

__all__ = ["fetched_chat", "messages_of"]


_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_PICTURES = ("image_url", "input_image")
_MOST_ADDRESSES, _MOST_BYTES = 16, 64 * 1024 * 1024
_STAND_IN = {"url": "data:image/png;base64,iVBORw0KGgo="}


async def messages_of(told: Sequence[Any]) -> tuple[Message, ...]:
    """The messages of a request's JSON; a picture that is an address is `Linked`.

    Raises:
        InvalidParameter: one that cannot be understood; it names ``messages``.
        TooLarge: too many addresses.
    """
    reading = _Reading()
    placed = [reading.placed(number, message) for number, message in enumerate(told)]
    try:
        # Decoding what may be many megabytes of base64 is no work for the event loop.
        messages = await to_thread.run_sync(from_openai, placed) if reading.pictures else from_openai(placed)
    except BadInput as failure:
        raise InvalidParameter("messages", failure.message, hint=failure.hint) from None
    return tuple(reading.linked(number, message) for number, message in enumerate(messages))


async def fetched_chat(chat: ChatRequest, workbench: Workbench, owner: str) -> ChatRequest:
    """The chat with what is behind its addresses, fetched once it is known that somebody answers.

    Raises:
        InvalidImage: no whole picture, or an address that is not fetched.
        TooLarge: too large a picture, or too much of them.
        WorkbenchError: as `Chats.checked`.
    """
    if not any(isinstance(image, Linked) for message in chat.messages for image in message.images):
        return chat
    await workbench.chats.checked(chat, JobRequest(CHAT, owner=owner))
    left = _MOST_BYTES

    async def fetched(part: Part) -> Part:
        nonlocal left
        image = part
        if isinstance(part, Linked):
            own = await own_picture(part.address, workbench, owner)
            data = await workbench.fetch(part.address) if own is None else await workbench.read(own)
            accepted = await images.accept_upload(data)
            image = Image(accepted.data, accepted.mime)
        left -= len(image.data) if isinstance(image, Image) else 0
        if left < 0:
            raise TooLarge(f"The pictures are larger than {_MOST_BYTES} bytes.", hint="Send smaller ones, or fewer.")
        return image

    messages = [replace(each, parts=tuple([await fetched(part) for part in each.parts])) for each in chat.messages]
    return replace(chat, messages=tuple(messages))


class _Reading:
    """Lays addresses aside while messages are read. What is no message stays, to be refused with its place."""

    def __init__(self) -> None:
        self.pictures = 0
        self._addresses: dict[tuple[int, int], str] = {}

    def placed(self, number: int, message: Any) -> Any:
        """With something that can be read in the place of each address."""
        fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
        content = fields.get("content")
        if not isinstance(content, list):
            return cast("Any", message)
        placed: list[Any] = []
        at = 0
        for part in cast("list[Any]", content):
            if isinstance(part, dict) and cast("dict[str, Any]", part).get("type") in _PICTURES:
                placed.append(self._part((number, at), cast("dict[str, Any]", part)))
                at += 1
            else:
                placed.append(part)
        self.pictures += at
        return {**fields, "content": placed}

    def _part(self, place: tuple[int, int], part: dict[str, Any]) -> dict[str, Any]:
        told: Any = part.get("image_url")
        url: Any = cast("dict[str, Any]", told).get("url") if isinstance(told, dict) else told
        if not isinstance(url, str) or not _ADDRESS.match(url):
            return part
        self._addresses[place] = url
        if len(self._addresses) > _MOST_ADDRESSES:
            raise TooLarge(f"More than {_MOST_ADDRESSES} pictures are addresses.", hint="Send them as data URLs.")
        return {**part, "image_url": _STAND_IN}

    def linked(self, number: int, message: Message) -> Message:
        """With each address in its place."""
        parts: list[Part] = []
        at = 0
        for part in message.parts:
            address = self._addresses.get((number, at)) if isinstance(part, Image) else None
            parts.append(part if address is None else Linked(b"", address=address))
            at += isinstance(part, Image)
        return replace(message, parts=tuple(parts))
