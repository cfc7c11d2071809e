"""Tool calls that have no end: they are bounded as a text is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import BackendError, OutputUnreadable
from comfy_mcp.workbench import Workbench
from tests.bridge.servers import chunk, sse, stream
from tests.texts import CHAT, NOWHERE, text_server
from tests.workbench.streaming import answer, asking
from tests.workbenches import settings_for


def call(index: int, arguments: str = "", **more: Any) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments, **more}, "id": more.get("name", "")}


@pytest.mark.parametrize(
    ("calls", "failure", "words"),
    [
        ([call(0, "x" * 500_000)] * 9, OutputUnreadable, "longer than"),
        ([call(n, name=f"{n}" + "f" * 10_000) for n in range(250)], OutputUnreadable, "longer than"),
        ([call(0)] * 130_000, OutputUnreadable, "longer than"),
        ([call(n, name=f"f{n}") for n in range(300)], BackendError, "more than 256 tool calls"),
    ],
    ids=["arguments", "names", "pieces of nothing", "calls"],
)
async def test_tool_calls_without_an_end_are_ended(
    tmp_path: Path, calls: list[dict[str, Any]], failure: type[Exception], words: str
) -> None:
    async with text_server() as server:
        server.on(CHAT, stream(sse(chunk(tool_calls=calls), chunk(finish="tool_calls"))))
        async with Workbench.open(settings_for(tmp_path, NOWHERE, llm_url=server.url)) as workbench:
            with pytest.raises(failure, match=words):
                await answer(workbench, asking())
