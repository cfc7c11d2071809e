"""Every example of the skill is called, in its order, against a real engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp import Client

from tests.docs.pages import blocks
from tests.docs.test_words import SKILL
from tests.server.chats import JOB, over_http, text_of

PAINTED = {"txt2img", "img2img", "upscale", "sweep", "run_template", "get_result"}


def examples() -> list[dict[str, Any]]:
    """The calls of all blocks; several stand in one, one after the other."""
    found: list[dict[str, Any]] = []
    decoder = json.JSONDecoder()
    for text in (text.strip() for language, text in blocks(SKILL) if language == "json"):
        while text:
            example, end = decoder.raw_decode(text)
            found.append(example)
            text = text[end:].lstrip()
    return found


def small(arguments: dict[str, Any]) -> dict[str, Any]:
    """With small pictures of two steps, so that all take a second."""
    told = dict(arguments)
    if "values" in told and "name" not in told:
        told["values"] = small(told["values"])
    elif "prompt" in told:
        told |= {"steps": 2, **({"megapixels": 0.1} if "image" in told else {"width": 64, "height": 64})}
    return told


async def test_every_example_does_what_is_said_of_it(tmp_path: Path, embedded_url: str) -> None:
    job, told = "", ""
    async with over_http(tmp_path, embedded_url) as chat:
        await _offered(chat)
        for example in examples():
            arguments = json.loads(json.dumps(small(example["arguments"])).replace('"JOB"', json.dumps(job)))
            result = await chat.call_tool(example["tool"], arguments)
            told = text_of(result)
            assert not result.is_error, (example, told)
            assert example["tool"] not in PAINTED or any(
                isinstance(each, types.ImageContent) for each in result.content
            )
            if found := JOB.search(told):
                job = found[1]
        assert "steps 20" in told and "style cinematic" in told


async def _offered(chat: Client) -> None:
    """The tools that are listed by default are among the examples or in the text."""
    told = SKILL.read_text()
    missing = [tool.name for tool in (await chat.list_tools()).tools if f"`{tool.name}`" not in told]
    assert [name for name in missing if f'"tool": "{name}"' not in told] == []
