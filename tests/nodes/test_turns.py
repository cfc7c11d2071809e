"""A node that is called for each item of a list: what is seen in it is one of them at a time, and none that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import groupby

import pytest

from comfy_nodes.nodes.generate import LLMGenerate
from tests.bridge.boxes import until
from tests.bridge.servers import Answer, Received, Script, chunk, sse, stream
from tests.nodes.calling import Page
from tests.nodes.conftest import SetUp
from tests.nodes.test_compare import CELLS, compare
from tests.texts import CHAT, text_server


@pytest.fixture
async def gates(set_up: SetUp) -> AsyncGenerator[dict[str, asyncio.Event]]:
    """Two servers, llm and llm-2, whose answers end when the gate of what they were asked is open."""
    gates = {word: asyncio.Event() for word in ("one", "two", "three", "four")}
    async with text_server() as first, text_server() as second:
        for script in (first, second):
            _gated(script, gates)
        set_up(first.url, second.url)
        yield gates


def _gated(script: Script, gates: dict[str, asyncio.Event]) -> None:
    def answer(received: Received) -> Answer:
        asked = received.json["messages"][-1]["content"]
        return stream(sse(chunk(f"{asked} …"), done=False), gates[asked], sse(chunk(" done", "stop")))

    script.on(CHAT, answer)


def generate(prompt: str, model: str = "llm/alpha", node: str = "7") -> asyncio.Task[object]:
    return asyncio.create_task(
        LLMGenerate().generate(
            model=model, prompt=prompt, system="", seed=1, temperature=0.5, max_tokens=9, unique_id=node
        )
    )


async def test_items_that_wait_are_silent_while_another_is_answered(
    gates: dict[str, asyncio.Event], page: Page
) -> None:
    items = [generate("one")]
    await until(lambda: "one …" in page.texts)
    items += [generate(prompt) for prompt in ("two", "three", "four")]
    for gate in gates.values():
        gate.set()
    await asyncio.gather(*items)
    after = page.texts[page.texts.index("one …") :]
    assert not [text for text in after if text.startswith("Waiting")]
    words = [word for word, _ in groupby(text.split()[0] for text in after if text.split()[0] in gates)]
    assert words == sorted(words, key=[*gates].index) and page.texts[-1] == f"{words[-1]} … done"


async def test_of_items_that_are_answered_at_once_one_is_seen_until_it_ends(
    gates: dict[str, asyncio.Event], page: Page
) -> None:
    first = generate("one")
    await until(lambda: "one …" in page.texts)
    second = generate("two", "llm-2/alpha")
    gates["two"].set()
    await second
    assert page.texts[-1] == "one …"
    third = generate("three", "llm-2/alpha")
    gates["one"].set()
    await first
    assert page.texts[-1] == "one … done"
    gates["three"].set()
    await third
    assert page.texts[-1] == "three … done"
    assert not [text for text in page.texts if text.startswith("two")]


async def test_while_all_wait_one_of_them_says_so(gates: dict[str, asyncio.Event], page: Page) -> None:
    other = asyncio.create_task(compare("llm/alpha", "one"))
    await until(lambda: any(cell["text"] for told in page.told(CELLS) for cell in told["cells"]))
    items = [generate(prompt, node="8") for prompt in ("two", "three")]
    await until(lambda: page.texts[-1] == "Waiting: this one is next …")
    for gate in gates.values():
        gate.set()
    await asyncio.gather(other, *items)
    assert [text for text in page.texts if text.startswith("Waiting")] == ["Waiting: this one is next …"]


async def test_of_comparisons_at_once_one_is_seen_until_it_ends_and_the_next_with_all_that_it_has(
    gates: dict[str, asyncio.Event], page: Page
) -> None:
    first = asyncio.create_task(compare("llm/alpha", "one"))
    await until(lambda: bool(page.told(CELLS)))
    second = asyncio.create_task(compare("llm-2/alpha", "two three"))
    gates["two"].set()
    await until(lambda: any(cell["text"] for told in page.told(CELLS) for cell in told["cells"]))
    assert len({told["run"] for told in page.told(CELLS)}) == 1
    gates["one"].set()
    await first
    await until(lambda: page.told(CELLS)[-1]["done"] == 1 and page.told(CELLS)[-1]["total"] == 2)
    gates["three"].set()
    await second
    runs = [run for run, _ in groupby(told["run"] for told in page.told(CELLS))]
    assert len(runs) == 2 and page.told(CELLS)[-1]["done"] == 2
    seen = {(told["run"], cell["row"]): cell["state"] for told in page.told(CELLS) for cell in told["cells"]}
    assert [*seen.values()] == ["done"] * 3
