"""One call as a chat makes it, and what its answer must keep to: the limits of its profile, its person's settings."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp import Client
from PIL import Image

from comfy_mcp.profiles import Profile
from tests.server.chats import JOB, SMALL, text_of

__all__ = ["NAMES", "PROFILE_OF_PAGE", "painted", "within"]

PROFILE_OF_PAGE = {
    "librechat.md": "librechat",
    "lobehub.md": "lobehub",
    "open-webui.md": "open-webui",
    "claude-desktop.md": "claude-desktop",
    "claude-ai.md": "claude.ai",
    "claude-code.md": "claude-code",
    "lm-studio.md": "lm-studio",
    "jan.md": "jan",
    "cursor.md": "cursor",
    "vs-code.md": "vs-code",
}
"""What a chat that follows the page is taken for."""

NAMES = {
    "librechat.md": ("@librechat/api-client",),
    "lobehub.md": ("lobehub-mcp-client",),
    "open-webui.md": ("mcp",),
    "claude-desktop.md": ("claude-ai",),
    "claude-ai.md": ("Anthropic/ClaudeAI",),
    "claude-code.md": ("claude-code",),
    "lm-studio.md": ("lmstudio-mcp-bridge",),
    "cursor.md": ("cursor-vscode",),
    "vs-code.md": ("Visual Studio Code",),
}
"""What each calls itself in the handshake. Jan's name depends on the transport."""


async def painted(chat: Client, settings: Mapping[str, str]) -> types.CallToolResult:
    """A small picture; ``settings`` are what the person has set, by parameter, and must be what was painted."""
    result = await chat.call_tool("txt2img", SMALL)
    told = text_of(result)
    assert not result.is_error, told
    found = JOB.search(told)
    assert found
    values = await _values(chat, found[1])
    asked = {**SMALL, **settings}
    for name in ("steps", "sampler", "scheduler", "cfg"):
        if name in asked:
            assert str(values[name]) == str(asked[name]), told
    if "steps" in settings:
        assert f"steps is {settings['steps']} by your settings, not {SMALL['steps']}." in told
    assert (f"style {asked['style']}" in told) if "style" in asked else ("style" not in told)
    assert "was left out" not in told
    return result


async def _values(chat: Client, job: str) -> dict[str, Any]:
    (told,) = (await chat.read_resource(f"job://{job}")).contents
    assert isinstance(told, types.TextResourceContents)
    return json.loads(told.text)["values"]


def within(result: types.CallToolResult, profile: Profile, *, link: str | None) -> Image.Image:
    """The one picture of an answer that keeps to the profile; ``link`` is how the link to the original begins."""
    kinds = [block.type for block in result.content]
    assert kinds == ["text", "image"] + ["resource_link"] * profile.resource_links
    wire = result.model_dump_json(by_alias=True, exclude_none=True)
    assert len(wire) < 1_048_576
    (block,) = (block for block in result.content if isinstance(block, types.ImageContent))
    data = base64.b64decode(block.data, validate=True)
    assert len(data) <= profile.picture_bytes <= profile.answer_bytes
    picture = Image.open(io.BytesIO(data))
    # What fits as it is goes as it is.
    assert block.mime_type == (profile.formats[0] if max(picture.size) > SMALL["width"] else "image/png")
    assert max(picture.size) <= profile.side
    links = [line for line in text_of(result).splitlines() if line.startswith("Full size: ")]
    if link is None:
        assert not links
    else:
        assert len(links) == 1 and links[0].startswith(f"Full size: {link}/")
    return picture
