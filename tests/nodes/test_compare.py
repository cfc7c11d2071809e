"""LLM Compare in front of scripted servers: what it asks, shows, keeps, lets go of and raises."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from comfy_nodes.nodes.compare import LLMCompare
from comfy_nodes.nodes.generate import LLMGenerate
from comfy_nodes.nodes.lists import ParameterGrid
from comfy_nodes.values import Models, Parameters, Prompts
from llm_bridge.compare import Prompt
from llm_bridge.errors import BadInput, RequestRefused, ServerError, ServerUnavailable
from tests.bridge.boxes import Box, boxes, until
from tests.bridge.servers import Answer, Received, Script, chunk, json_answer, sse, stream
from tests.nodes.calling import Page, Stopped
from tests.nodes.conftest import SetUp
from tests.texts import CHAT, NOWHERE, answered, hanging, models_asked, text_server

CELLS = "comfyui-workbench.cells"
FULL = json_answer({"error": {"message": "The card is full."}}, 400)


@pytest.fixture
async def script(set_up: SetUp) -> AsyncGenerator[Script]:
    """A server called llm with the models alpha and beta."""
    async with text_server() as script:
        set_up(script.url)
        yield script


async def compare(models: str = "alpha beta", prompts: str = "one two", **options: Any) -> dict[str, Any]:
    asked = Prompts(tuple(Prompt(word, word) for word in prompts.split()))
    return await LLMCompare().compare(models=Models(tuple(models.split())), prompts=asked, unique_id="7", **options)


async def grid(text: str) -> Parameters:
    return (await ParameterGrid().combine(grid=text))[0]


def cells(told: dict[str, Any]) -> list[dict[str, Any]]:
    return told["ui"]["comparison"][0]["cells"]


def seeds(script: Script) -> list[int]:
    return sorted(body["seed"] for body in script.bodies(CHAT))


async def test_the_texts_are_in_the_order_of_the_cells_and_the_table_has_them_all(script: Script) -> None:
    told = await compare()
    compared, table, texts = told["result"]
    assert texts == ["alpha on one", "beta on one", "alpha on two", "beta on two"]
    assert [cell["text"] for cell in cells(told)] == texts
    assert all(text in table for text in texts)
    assert told["ui"]["text"] == ["2 models · 2 prompts: 4 of 4 cells answered"]
    assert str(compared) == "4 of 4 cells" and compared.run == told["ui"]["comparison"][0]["run"]
    assert sorted(models_asked(script)) == ["alpha", "alpha", "beta", "beta"]


async def test_repeats_count_on_from_the_seed_and_another_seed_asks_again(script: Script) -> None:
    await compare("alpha", "one", repeats=3, seed=40)
    assert seeds(script) == [40, 41, 42]
    await compare("alpha", "one", repeats=3, seed=40)
    assert len(seeds(script)) == 3
    await compare("alpha", "one", repeats=3, seed=50)
    assert seeds(script)[3:] == [50, 51, 52]


async def test_parameters_keep_their_own_seed_and_bound(script: Script) -> None:
    await compare("alpha", "one", seed=7, max_tokens=64, parameters=await grid("seed=1;max_tokens=5"))
    await compare("alpha", "one", seed=7, max_tokens=64, parameters=await grid("temperature=0"))
    await compare("alpha", "two", seed=7, max_tokens=0)
    asked = [(body["seed"], body.get("max_tokens")) for body in script.bodies(CHAT)]
    assert asked == [(1, 5), (7, 64), (7, None)]


async def test_what_was_answered_is_not_asked_again_unless_it_is_wanted_anew(script: Script) -> None:
    first = await compare()
    again = await compare()
    other = await compare("beta", "two")
    assert len(script.bodies(CHAT)) == 4
    assert [cell["cached"] for cell in cells(first)] == [False] * 4
    assert [cell["cached"] for cell in (*cells(again), *cells(other))] == [True] * 5
    anew = await compare(use_earlier_answers=False)
    assert len(script.bodies(CHAT)) == 8
    assert anew["result"][0].run != again["result"][0].run == first["result"][0].run


async def test_a_model_that_is_not_there_fails_its_own_cells(script: Script) -> None:
    told = await compare("alpha gone beta", "one")
    assert told["result"][2] == ["alpha on one", "", "beta on one"]
    failed = cells(told)[1]
    assert failed["state"] == "failed" and "gone" in failed["error"] and "alpha" in failed["error"]


async def test_failed_cells_are_asked_again_the_next_time_and_only_they(script: Script) -> None:
    script.on(CHAT, FULL, answered)
    await compare("alpha")
    assert (await compare("alpha"))["result"][2] == ["alpha on one", "alpha on two"]
    assert len(script.bodies(CHAT)) == 3


async def test_when_no_cell_is_answered_the_node_fails_with_the_reason(script: Script) -> None:
    script.on(CHAT, FULL)
    with pytest.raises(RequestRefused, match="The card is full"):
        await compare()
    script.on(CHAT, lambda received: json_answer({"error": {"message": f"No {received.json['model']}."}}, 400))
    with pytest.raises(ServerError, match=r"No model answered(?=.*No alpha)(?=.*No beta)"):
        await compare()


async def test_without_a_server_the_node_says_so_at_once(set_up: SetUp) -> None:
    set_up(NOWHERE)
    async with asyncio.timeout(5):
        with pytest.raises(ServerUnavailable, match="llm does not answer"):
            await compare()


async def test_rules_are_checked_and_a_wrong_one_is_told_before_anything_is_asked(script: Script) -> None:
    told = await compare(checks="contains:alpha\n\nmax-words:50")
    checks = [[check["passed"] for check in cell["checks"]] for cell in cells(told)]
    assert checks == [[True, True], [False, True]] * 2
    with pytest.raises(BadInput, match="Check 2"):
        await compare(checks="json\nnonsense:1", seed=9)
    assert len(script.bodies(CHAT)) == 4


async def test_the_table_grows_with_the_answers(script: Script, page: Page) -> None:
    more = asyncio.Event()
    script.on(CHAT, hanging(more))
    task = asyncio.create_task(compare("alpha", "one two"))
    await until(lambda: any(cell["text"] for told in page.told(CELLS) for cell in told["cells"]))
    begun, *_, growing = page.told(CELLS)
    assert begun["node"] == "7" and begun["models"] == ["alpha"] and begun["cells"] == []
    assert begun["rows"] == [["one", "", 0], ["two", "", 0]] and (begun["done"], begun["total"]) == (0, 2)
    (cell,) = growing["cells"]
    assert cell == {"row": cell["row"], "model": 0, "state": "text", "text": "Once", "cached": False}
    assert page.texts[-1] == "0 of 2 · alpha · writing …"
    more.set()
    result = await task
    last = {(cell["row"], cell["model"]): cell for told in page.told(CELLS) for cell in told["cells"]}
    assert [last[place] for place in sorted(last)] == cells(result) and page.told(CELLS)[-1]["done"] == 2
    assert page.progress[-1] == (2, 2) and page.texts[-1] == "2 of 2"


async def test_the_page_is_told_at_most_ten_times_a_second_and_of_every_cell_how_it_ended(
    script: Script, page: Page
) -> None:
    began = time.monotonic()
    await compare("alpha beta", " ".join(f"p{number}" for number in range(150)))
    told = page.told(CELLS)
    assert len(told) <= (time.monotonic() - began) / 0.1 + 4  # the first, and the rest of 300 cells at the end
    assert max(len(each["cells"]) for each in told) <= 200
    ended = {(cell["row"], cell["model"]) for each in told for cell in each["cells"] if cell["state"] == "done"}
    assert len(ended) == 300


async def test_a_stopped_comparison_stops_the_model_and_goes_on_where_it_was(script: Script, page: Page) -> None:
    def two_hangs(received: Received) -> Answer:
        return hanging(asyncio.Event()) if received.json["messages"][-1]["content"] == "two" else answered(received)

    script.on(CHAT, two_hangs)
    task = asyncio.create_task(compare("alpha", "one two three"))
    await until(lambda: any(cell["text"] == "Once" for told in page.told(CELLS) for cell in told["cells"]))
    told = len(page.events)
    page.interrupt()
    with pytest.raises(Stopped):
        await task
    assert len(page.events) == told
    await asyncio.wait_for(script.aborted.wait(), 1)
    page.interrupted, before = False, len(script.bodies(CHAT))
    assert page.told(CELLS)[-1]["done"] == before - 1
    script.on(CHAT, answered)
    told = await compare("alpha", "one two three")
    assert told["result"][2] == ["alpha on one", "alpha on two", "alpha on three"]
    assert len(script.bodies(CHAT)) == 4
    assert sum(cell["cached"] for cell in cells(told)) == before - 1


KILLED = """
import asyncio
from tests.nodes.test_compare import compare
asyncio.run(compare("alpha", "one two three"))
"""


async def test_a_comparison_whose_comfyui_was_killed_goes_on_where_it_was(script: Script, tmp_path: Path) -> None:
    def kept() -> int:
        return sum(file.read_bytes().count(b"\n") for file in tmp_path.rglob("results.jsonl"))

    script.on(CHAT, answered, answered, hanging(asyncio.Event()))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, cwd=Path(__file__).parents[2])
    await until(lambda: len(script.bodies(CHAT)) == 3 and kept() == 2, 30)
    process.kill()
    await process.wait()
    script.on(CHAT, answered)
    told = await compare("alpha", "one two three")
    assert told["result"][2] == ["alpha on one", "alpha on two", "alpha on three"]
    assert len(script.bodies(CHAT)) == 4 and sum(cell["cached"] for cell in cells(told)) == 2


async def test_graphs_at_once_ask_each_cell_once_and_one_at_a_time(set_up: SetUp) -> None:
    box = Box("box", ("alpha", "beta"))
    async with boxes(box):
        set_up(box.url)
        graphs = [asyncio.to_thread(asyncio.run, compare(prompts=words)) for words in ("a b c", "a b c", "d e f")]
        told = await asyncio.gather(*graphs)
    assert [len(each["result"][2]) for each in told] == [6, 6, 6]
    assert len(box.bodies(CHAT)) == 12
    assert all(running.total() == 1 for running in box.seen_running)


async def test_twenty_items_of_a_list_are_twenty_answers_one_after_the_other(set_up: SetUp) -> None:
    async def generate(number: int) -> str:
        told = await LLMGenerate().generate(
            model="alpha", prompt=f"item {number}", system="", seed=1, temperature=0.5, max_tokens=9
        )
        return told["result"][0]

    box = Box("box", ("alpha",))
    async with boxes(box):
        set_up(box.url)
        assert await asyncio.gather(*map(generate, range(20))) == ["Hi"] * 20
    assert len(box.seen_running) == 20 and box.loads == ["alpha"]
    assert all(running.total() == 1 for running in box.seen_running)


async def test_comfyuis_own_models_make_room_when_that_is_wanted(script: Script, page: Page) -> None:
    await compare("alpha", "one")
    assert page.freed == 0
    await compare("alpha", "one", free_vram_first=True)
    assert page.freed == 1


@pytest.fixture
async def roomy(set_up: SetUp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncGenerator[Box]:
    """A server with room for two models at once; beta answers when the gate is open."""
    box = Box("box", ("alpha", "beta"), max_loaded=None)

    def chat(received: Received) -> Answer:
        return stream(*[box.gate] * (received.json["model"] == "beta"), sse(chunk("Hi", "stop")))

    box.on(CHAT, chat)
    box.gate.clear()
    async with boxes(box):
        settings = tmp_path / "settings.toml"
        options = 'kind = "llama-cpp"\nmax_loaded = 0\nconcurrency = 2'
        settings.write_text(f'[[llm_servers]]\nname = "box"\nurl = "{box.url}"\n{options}\n')
        monkeypatch.setenv("WORKBENCH_SETTINGS", str(settings))
        yield box


def unloaded(box: Box) -> list[str]:
    return [body["model"] for body in box.bodies("POST /models/unload")]


async def half_done(box: Box, page: Page, unload: str) -> asyncio.Task[Any]:
    """A comparison of which alpha's only cell is done and beta's waits."""
    task = asyncio.create_task(compare("alpha beta", "one", unload=unload))
    await until(lambda: any(told["done"] == 1 for told in page.told(CELLS)) and "beta" in models_asked(box))
    return task


async def test_a_model_is_let_go_after_its_last_cell(roomy: Box, page: Page) -> None:
    task = await half_done(roomy, page, "after each model")
    await until(lambda: unloaded(roomy) == ["alpha"])
    roomy.gate.set()
    await task
    assert unloaded(roomy) == ["alpha", "beta"]


async def test_all_models_are_let_go_at_the_end_but_not_when_none_was_asked(roomy: Box, page: Page) -> None:
    task = await half_done(roomy, page, "at the end")
    assert unloaded(roomy) == []
    roomy.gate.set()
    await task
    assert sorted(unloaded(roomy)) == ["alpha", "beta"] and roomy.loaded == []
    await compare("alpha beta", "one", unload="at the end")
    assert len(unloaded(roomy)) == 2


async def test_models_stay_loaded_when_that_is_wanted(roomy: Box) -> None:
    roomy.gate.set()
    await compare("alpha beta", "one", unload="leave loaded")
    assert unloaded(roomy) == [] and sorted(roomy.loaded) == ["alpha", "beta"]
