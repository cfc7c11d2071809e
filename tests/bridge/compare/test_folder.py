"""The run folder: what it gives back, what it refuses, and what a crash leaves of it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from llm_bridge.chat import Metrics, Reply, Sampling, Timings, Usage
from llm_bridge.compare import (
    CellResult,
    Checked,
    Comparison,
    Failure,
    Folder,
    Preference,
    Prompt,
    Variant,
    compare,
)
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, ToolCall
from tests.bridge.compare.models import TWO, Models

RICH = Comparison(
    ("server/a", "b"),
    (
        Prompt(
            "picture",
            "What is it?",
            "Be short.",
            (Image(b"\x89PNG one", "image/png"), Image(b"two", "image/gif")),
            "cat",
        ),
    ),
    (
        Variant("plain"),
        Variant("full", Sampling(temperature=0.0, seed=1, stop=("#", "end")), "Other.", False, {}, {"mirostat": 0}),
    ),
    repeats=2,
)
REPLY = Reply(
    "Ein Kätzchen 🐈 \ud800",
    "hm",
    (ToolCall("1", "look", "{}"),),
    "length",
    Usage(1, 2, None, 0),
    Timings(load=1.5),
    Metrics(ttft=0.25),
    "a",
    "server",
    {"x": [1]},
    ("note",),
)


def preference(by: str = "person:ann", winner: str = "first", **other: str) -> Preference:
    names = {"prompt": "sea", "variant": "", "first": "a", "second": "b"} | other
    return Preference(names["prompt"], names["variant"], 0, names["first"], names["second"], winner, by)  # pyright: ignore[reportArgumentType]


async def test_all_that_was_written_is_read_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new" / "run")
    await folder.begin(RICH)
    cells = RICH.cells
    results = (
        CellResult(cells[0], REPLY, checks=(Checked("json", False, "No JSON."),), cached=True),
        CellResult(cells[3], failure=Failure("server_busy", "No room.", "Wait.")),
    )
    for result in reversed(results):
        await folder.add(result)
    read = await Folder(tmp_path / "new" / "run").read()
    assert read.comparison == RICH
    assert read.cells == results
    assert [cell.key for cell in read.comparison.cells] == [cell.key for cell in cells]


async def test_preferences_are_read_and_ranked(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    await folder.begin(TWO)
    await folder.prefer([preference("judge:m")])
    await folder.prefer([preference(), preference(second="c")])
    await folder.prefer([preference(winner="second")])
    read = await folder.read()
    assert read.preferences == (preference("judge:m"), preference(winner="second"))
    assert [rank.model for rank in read.ranking] == ["a", "b"]


async def test_the_same_comparison_finds_its_results(tmp_path: Path) -> None:
    await compare(TWO, Models(), folder=Folder(tmp_path))
    assert (await Folder(tmp_path).begin(TWO)).complete


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (replace(TWO, models=("a", "c")), "model 'c' is new; model 'b' is gone"),
        (replace(TWO, models=("b", "a")), "the models are in another order"),
        (replace(TWO, prompts=(Prompt("sea", "New?"), TWO.prompts[1])), "prompt 'sea' has changed"),
        (replace(TWO, prompts=(replace(TWO.prompts[0], images=(Image(b"x"),)), TWO.prompts[1])), "'sea' has changed"),
        (replace(TWO, variants=(Variant("", Sampling(seed=1)),)), "variant '' has changed"),
        (replace(TWO, repeats=3), "3 repeats instead of 1"),
    ],
)
async def test_another_comparison_is_refused_with_what_differs(tmp_path: Path, other: Comparison, says: str) -> None:
    await Folder(tmp_path).begin(TWO)
    with pytest.raises(BadInput) as refused:
        await Folder(tmp_path).begin(other)
    assert says in refused.value.message


async def test_a_half_written_last_line_is_passed_over_and_mended(tmp_path: Path) -> None:
    await compare(TWO, Models(), folder=Folder(tmp_path))
    file = tmp_path / "results.jsonl"
    whole = file.read_bytes()
    for cut in (1, len(whole) // 8, whole.rfind(b"\n", 0, -1)):
        file.write_bytes(whole[:-cut])
        before = await Folder(tmp_path).read()
        assert not before.complete
        assert before.notes == ()
        models = Models()
        assert (await compare(TWO, models, folder=Folder(tmp_path))).complete
        assert 1 <= len(models.keys) < 4
        assert [json.loads(line)["key"] for line in file.read_text().splitlines()]


async def test_lines_that_make_no_sense_are_told_and_asked_again(tmp_path: Path) -> None:
    await compare(TWO, Models(), folder=Folder(tmp_path))
    file = tmp_path / "results.jsonl"
    lines = file.read_text().splitlines()
    broken = [lines[0][:50], lines[1].replace('"text"', '"test"'), lines[2], "[]", "7", lines[3]]
    file.write_text("\n".join(broken) + "\n")
    (tmp_path / "preferences.jsonl").write_text('[{"winner": "nobody"}]\n')
    read = await Folder(tmp_path).read()
    assert len(read.cells) == 2
    assert read.notes == ("5 lines of the run folder cannot be read.",)


async def test_an_answer_outlives_a_later_failure_and_the_last_answer_counts(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    await folder.begin(TWO)
    cell = TWO.cells[0]
    failed = CellResult(cell, failure=Failure("x", "It failed."))
    for result in (failed, CellResult(cell, Reply("old")), CellResult(cell, Reply("new")), failed):
        await folder.add(result)
    assert (await folder.read()).cells == (CellResult(cell, Reply("new")),)


async def test_many_results_at_once_are_all_kept(tmp_path: Path) -> None:
    many = Comparison(("a",), tuple(Prompt(str(n), f"{n}?") for n in range(500)))
    folder = Folder(tmp_path)
    await folder.begin(many)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for cell in many.cells:
            group.create_task(folder.add(CellResult(cell, Reply("x"))))
    assert (await folder.read()).complete


async def test_a_run_that_is_killed_loses_no_answer_that_it_had_told(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from llm_bridge.compare import Folder, compare
from tests.bridge.compare.models import TWO, Models
from llm_bridge.chat import Reply

async def ask(key, request, on_event):
    if request.model == "b":
        await asyncio.Event().wait()
    return Reply("kept")

def tell(cell, change):
    print(cell.label, flush=True)

asyncio.run(compare(TWO, ask, folder=Folder(Path(sys.argv[1])), on_change=tell))
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = [process.stdout.readline().strip() for _ in range(2)]
        process.send_signal(signal.SIGKILL)
    assert sorted(told) == ["a · sea", "a · sky"]
    models = Models()
    results = await compare(TWO, models, folder=Folder(tmp_path))
    assert {request.model for request in models.requests} == {"b"}
    assert results.complete


class TestRefusals:
    async def test_a_folder_without_a_comparison(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="no folder of a comparison"):
            await Folder(tmp_path).read()

    async def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(BadInput, match="run folder cannot be") as refused:
            await Folder(tmp_path / "file").begin(TWO)
        assert str(tmp_path) not in str(refused.value)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2}'])
    async def test_a_comparison_that_cannot_be_read(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "comparison.json").write_text(content)
        with pytest.raises(BadInput, match=r"cannot be read|another version"):
            await Folder(tmp_path).read()

    @pytest.mark.parametrize("field", ["models", "prompts", "variants", "repeats"])
    async def test_a_comparison_without_a_part(self, tmp_path: Path, field: str) -> None:
        await Folder(tmp_path).begin(TWO)
        spec = json.loads((tmp_path / "comparison.json").read_text())
        del spec[field]
        (tmp_path / "comparison.json").write_text(json.dumps(spec))
        with pytest.raises(BadInput, match="cannot be read"):
            await Folder(tmp_path).read()

    async def test_an_image_that_has_changed(self, tmp_path: Path) -> None:
        await Folder(tmp_path).begin(RICH)
        (tmp_path / "images" / RICH.prompts[0].digests[0]).write_bytes(b"other")
        with pytest.raises(BadInput, match="image"):
            await Folder(tmp_path).read()
