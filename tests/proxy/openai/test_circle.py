"""A workbench is no LLM server of a workbench: a chat could wait for itself."""

from __future__ import annotations

from pathlib import Path

from tests.texts import text_server
from tests.workbenches import served


async def test_a_workbench_behind_a_workbench_is_refused_with_what_to_do(tmp_path: Path, embedded_url: str) -> None:
    async with (
        text_server() as server,
        served(tmp_path / "behind", embedded_url, llm_url=server.url) as behind,
        served(tmp_path / "front", embedded_url, llm_url=str(behind.base_url)) as front,
    ):
        asked = {"model": "alpha", "messages": [{"role": "user", "content": "hello"}]}
        assert (await behind.post("/v1/chat/completions", json=asked)).status_code == 200
        answer = await front.post("/v1/chat/completions", json=asked)
        assert answer.status_code == 503, answer.text
        assert "workbench" in answer.json()["error"]["message"]
        assert "behind it" in answer.json()["error"]["message"]
