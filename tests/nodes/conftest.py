"""What tests of nodes share: servers that begin anew with each test, a folder of the test's own, and a page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import pytest

from comfy_nodes.servers import close_servers
from comfy_nodes.thread import handed_over
from tests.nodes.calling import Page, comfyui

SetUp = Callable[..., None]


@pytest.fixture
async def set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncGenerator[SetUp]:
    """`set_up(url, …)` names the LLM servers of the nodes: llm, llm-2 and so on. What they keep is in ``tmp_path``."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def name(*urls: str) -> None:
        monkeypatch.setenv("WORKBENCH_LLM_URL", ",".join(urls))

    yield name
    await handed_over(close_servers())


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Generator[Page]:
    """What the page of the person who submitted the graph is told."""
    with comfyui(monkeypatch) as page:
        yield page
