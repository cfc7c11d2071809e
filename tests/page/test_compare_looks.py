"""One look at a comparison for all who watch it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from comfy_mcp.proxy.page.compare.looks import Looks
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.comparison_values import comparison_values
from llm_bridge.chat import Reply
from llm_bridge.compare import CellResult
from llm_bridge.compare.records import result_record
from tests.texts import NOWHERE, text_server
from tests.workbenches import settings_for


async def test_a_long_comparison_is_read_once_for_all_and_beside_the_loop(tmp_path: Path) -> None:
    async with (
        text_server() as script,
        Workbench.open(settings_for(tmp_path, NOWHERE, llm_url=script.url), dispatch=False) as workbench,
    ):
        prompts = [f"prompt {number}" for number in range(1000)]
        values = comparison_values({"models": ["alpha", "beta"], "prompts": prompts, "repeats": 2})
        plan = await workbench.comparisons.start_from(values)
        cells = (await workbench.comparisons.results(plan)).comparison.cells
        answered = [CellResult(cell, Reply(text="word " * 100, finish="stop")) for cell in cells]
        lines = [json.dumps(result_record(each.cell.key, each)) for each in answered]
        (tmp_path / "comparisons" / plan.id / "results.jsonl").write_text("\n".join(lines) + "\n")

        looks = Looks(workbench)
        here, everywhere = time.thread_time(), time.process_time()
        one, other = looks.of(plan), looks.of(plan)
        first, second = await asyncio.gather(one.look(), other.look())
        here, everywhere = time.thread_time() - here, time.process_time() - everywhere
    assert len(first.results.cells) == 4000 and first.standing.lines[0].answers
    assert first is second
    assert here < everywhere / 4
