"""How many chats of one owner may wait: as many as the token says, and never the whole line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import Overloaded
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.texts import CHAT, NOWHERE, hanging, text_server
from tests.workbench.streaming import asking
from tests.workbenches import settings_for


@asynccontextmanager
async def busy(data: Path, **more: Any) -> AsyncGenerator[tuple[Workbench, AsyncExitStack]]:
    """A workbench whose one server answers somebody, for ever."""
    async with text_server() as script:
        script.on(CHAT, hanging(asyncio.Event()))
        async with (
            Workbench.open(settings_for(data, NOWHERE, llm_url=script.url, **more)) as workbench,
            workbench.streams.open(asking(), owner="somebody") as first,
            AsyncExitStack() as stack,
        ):
            await anext(first)
            yield workbench, stack


async def waiting(workbench: Workbench, stack: AsyncExitStack, owner: str) -> int:
    """How many chats of this owner are taken into the line."""
    for number in range(20):
        try:
            await stack.enter_async_context(workbench.streams.open(asking(), owner=owner))
        except Overloaded as refused:
            assert refused.details["retry_after"] >= 1
            return number
    return 20


async def test_what_a_token_lets_wait_holds_for_chats_too(tmp_path: Path) -> None:
    async with busy(tmp_path) as (workbench, stack):
        await workbench.tokens.add(Token("anna", waiting=2))
        await workbench.tokens.add(Token("tablet", "bert", waiting=3))
        assert [await waiting(workbench, stack, owner) for owner in ("anna", "bert", "carl")] == [2, 3, 20]


@pytest.mark.parametrize(("most", "half"), [(10, 5), (5, 3)])
async def test_one_owner_fills_half_of_the_line_at_most(tmp_path: Path, most: int, half: int) -> None:
    async with busy(tmp_path, max_queue=most) as (workbench, stack):
        assert await waiting(workbench, stack, "anna") == half
        assert await waiting(workbench, stack, "bert") == most - half
