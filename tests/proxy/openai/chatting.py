"""Chats over `/v1` for tests: what is sent, and what a stream brought, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from openai import AsyncOpenAI

from tests.bridge.servers import Script
from tests.texts import NOWHERE, text_server
from tests.workbenches import served

__all__ = ["PATH", "body", "chunks", "comments", "content", "openai_client", "over_text", "plain", "said", "stream_of"]

PATH = "/v1/chat/completions"

_ID, _CREATED = re.compile(rb'"id":"chatcmpl-[0-9a-f]{32}"'), re.compile(rb'"created":\d{10}')


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def body(text: str = "hi", model: str = "alpha", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": said(text), **more}


@asynccontextmanager
async def over_text(
    data: Path, comfyui: str = NOWHERE, models: Sequence[str] = ("alpha", "beta"), **more: Any
) -> AsyncGenerator[tuple[httpx.AsyncClient, Script]]:
    """A workbench in front of one scripted LLM server."""
    async with text_server(models) as script, served(data, comfyui, llm_url=script.url, **more) as http:
        yield http, script


def openai_client(http: httpx.AsyncClient) -> AsyncOpenAI:
    """The official client on the workbench that ``http`` speaks to; it tries once."""
    return AsyncOpenAI(base_url=f"{http.base_url}/v1".replace("//v1", "/v1"), api_key="none", max_retries=0, timeout=60)


async def stream_of(http: httpx.AsyncClient, asked: dict[str, Any], **headers: str) -> bytes:
    """Everything that a stream brought."""
    async with http.stream("POST", PATH, json={**asked, "stream": True}, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        return await answer.aread()


def plain(stream: bytes) -> bytes:
    """The data of a stream, with what differs each time made the same; comments may come at any time."""
    lines = [line for line in stream.split(b"\n\n") if line and not line.startswith(b":")]
    told = b"".join(line + b"\n\n" for line in lines)
    return _CREATED.sub(b'"created":0', _ID.sub(b'"id":"chatcmpl-0"', told))


def comments(stream: bytes) -> list[str]:
    return [line[2:].decode() for line in stream.split(b"\n\n") if line.startswith(b": ")]


def chunks(stream: bytes) -> list[dict[str, Any]]:
    found = [line.removeprefix(b"data: ") for line in stream.split(b"\n\n") if line.startswith(b"data: ")]
    return [json.loads(data) for data in found if data != b"[DONE]"]


def content(stream: bytes, field: str = "content") -> str:
    """What a client shows: the pieces of one field put together."""
    deltas = [choice["delta"] for chunk in chunks(stream) for choice in chunk["choices"]]
    return "".join(delta.get(field) or "" for delta in deltas)
