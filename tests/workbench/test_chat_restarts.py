"""What a job shows of a growing answer whose beginning turns out to count no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio

from comfy_mcp.jobs import JobRequest
from comfy_mcp.workbench import Workbench
from tests.bridge.servers import chunk, sse, stream
from tests.texts import CHAT, NOWHERE, text_server
from tests.workbenches import settings_for


async def test_the_progress_of_a_job_begins_anew_when_its_text_was_thought_after_all(tmp_path: Path) -> None:
    thought, go_on = asyncio.Event(), asyncio.Event()
    shown: list[str] = []
    async with text_server() as server:
        whole = sse(chunk("</think>\n\nFour"), done=False)
        server.on(CHAT, stream(sse(chunk("Hm."), done=False), thought, whole, go_on, sse(chunk(".", "stop"))))
        async with Workbench.open(settings_for(tmp_path, NOWHERE, llm_url=server.url)) as workbench:
            job = await workbench.submit(JobRequest("chat", {"model": "alpha", "prompt": "2 + 2"}))
            with anyio.fail_after(20):
                async for current in workbench.follow(job.id):
                    shown.append(current.progress.text)
                    if shown[-1] == "Hm.":
                        thought.set()
                    elif thought.is_set():
                        go_on.set()
    assert "Hm." in shown
    last = len(shown) - 1 - shown[::-1].index("Hm.")
    assert all("Hm" not in text and "think" not in text for text in shown[last + 1 :])
    assert shown[-1] in ("Four.", "")
