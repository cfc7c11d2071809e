"""Results Table, Results Image and Results Export: what is shown, drawn and written, and where."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from comfy_mcp.comfyui.outputs import files_in
from comfy_nodes.exporting import export
from comfy_nodes.host import output_folder
from comfy_nodes.nodes.results import ResultsExport, ResultsImage, ResultsTable
from comfy_nodes.table import table_of
from comfy_nodes.values import Compared
from llm_bridge.compare import Prompt
from llm_bridge.compare.reports import Look, markdown, pictures
from llm_bridge.errors import BadInput
from tests.bridge.compare.models import answered

DONE = Compared(answered({"a": ["The sea.", None], "b": ["海は青い 🌊", "Blue."]}), "0" * 32)
FORMATS = ("md", "csv", "json", "html")
LOOK: Mapping[str, Any] = {"width": 1024, "text_size": 14, "most_lines": 12, "most_pages": 6, "dark": False}


@pytest.fixture(autouse=True)
def output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """ComfyUI's output folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return output_folder("output")


def there(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


async def exported(**changed: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = dict.fromkeys(("markdown", "csv", "json", "html"), True)
    chosen |= {"filename_prefix": "comparison", "folder": "output"}
    return await ResultsExport().export(results=DONE, **chosen | changed)


async def drawn(results: Compared = DONE, **changed: Any) -> dict[str, Any]:
    return await ResultsImage().draw(results=results, **dict(LOOK) | changed)


async def test_the_table_is_for_the_page_and_the_results_go_on() -> None:
    answer = await ResultsTable().show(results=DONE)
    assert answer["ui"] == {"comparison": [table_of(DONE)], "text": [markdown(DONE.results)]}
    results, report = answer["result"]
    assert results is DONE
    assert report == markdown(DONE.results)
    assert json.loads(json.dumps(answer["ui"])) == answer["ui"]


async def test_a_long_report_is_cut_only_for_who_has_no_page() -> None:
    done = Compared(answered({"a": ["sea " * 4000, "sky " * 4000]}), "0" * 32)
    answer = await ResultsTable().show(results=done)
    (text,) = answer["ui"]["text"]
    assert len(text) < 20_100 < len(answer["result"][1]) and "The rest is in" in text


async def test_the_pages_are_a_batch_of_pictures() -> None:
    (pages,) = (await drawn())["result"]
    (page,) = pictures(DONE.results, Look(1024, size=14)).pages
    assert pages.dtype == numpy.float32
    assert pages.shape == (1, Image.open(io.BytesIO(page)).height, 1024, 3)
    assert 0 <= pages.min() < pages.max() <= 1


async def test_a_dark_page_is_dark_and_a_light_one_light() -> None:
    (light,) = (await drawn())["result"]
    (dark,) = (await drawn(dark=True))["result"]
    assert numpy.median(light) > 0.9
    assert numpy.median(dark) < 0.15


async def test_there_are_no_more_pages_than_wanted_and_it_is_told() -> None:
    prompts = [Prompt(f"prompt {number}", "?\n" * 12) for number in range(40)]
    long = Compared(answered({"a": ["word\n" * 12] * 40}, prompts), "0" * 32)
    answer = await drawn(long, most_pages=2)
    assert answer["result"][0].shape[0] == 2
    assert any("More rows than these pages hold" in note for note in answer["ui"]["text"])


async def test_letters_that_no_font_has_are_told() -> None:
    odd = Compared(answered({"a": ["\U0001f7f0\u0378", "."]}), "0" * 32)
    answer = await drawn(odd)
    assert any("U+0378" in note for note in answer["ui"]["text"])


async def test_more_lines_make_a_taller_page() -> None:
    tall = Compared(answered({"a": ["word\n" * 40, "."]}), "0" * 32)
    heights = [(await drawn(tall, most_lines=lines))["result"][0].shape[1] for lines in (3, 40)]
    assert heights[0] < heights[1]


async def test_an_export_is_files_that_view_serves_and_the_same_texts(output: Path) -> None:
    answer = await exported()
    files = answer["ui"]["files"]
    assert files == [
        {"filename": f"report.{ending}", "subfolder": "comparison_00001", "type": "output"} for ending in FORMATS
    ]
    assert there(output) == sorted(f"comparison_00001/report.{ending}" for ending in FORMATS)
    written = tuple((output / file["subfolder"] / file["filename"]).read_bytes().decode() for file in files)
    assert answer["result"] == written
    assert list(csv.reader(io.StringIO(answer["result"][1]))) and json.loads(answer["result"][2])


async def test_a_client_finds_the_files_of_an_export() -> None:
    answer = await exported(folder="temp", filename_prefix="texts/seas")
    found = [each.ref for each in files_in({"7": answer["ui"]})]
    assert [(ref.filename, ref.subfolder, ref.type) for ref in found] == [
        (f"report.{ending}", "texts/seas_00001", "temp") for ending in FORMATS
    ]
    assert len(there(output_folder("temp"))) == 4


async def test_only_what_is_chosen_is_written_but_every_text_comes_out(output: Path) -> None:
    answer = await exported(csv=False, html=False)
    assert there(output) == ["comparison_00001/report.json", "comparison_00001/report.md"]
    assert all(answer["result"])
    assert answer["ui"]["text"] == ["Saved in output/comparison_00001: report.md, report.json"]
    assert (await exported(markdown=False, csv=False, json=False, html=False))["ui"] == {
        "files": [],
        "text": ["Nothing was saved."],
    }
    assert [path.name for path in output.iterdir()] == ["comparison_00001"]


async def test_exports_at_the_same_time_get_a_folder_each(output: Path) -> None:
    await asyncio.gather(*(exported(html=False) for _ in range(12)))
    assert sorted(path.name for path in output.iterdir()) == [f"comparison_{number:05}" for number in range(1, 13)]


def test_numbers_go_on_after_the_last_and_names_that_are_alike_do_not_count(output: Path) -> None:
    for name in ("sea_00007", "sea_blue_00050", "sea_x", "seas_00099"):
        (output / name).mkdir(parents=True)
    (output / "sea_00008").write_text("a file")
    (file,) = export(DONE.results, ["md"], "sea", "output")
    assert file["subfolder"] == "sea_00009"


@pytest.mark.parametrize(
    "prefix",
    [
        "../away", "a/../../away", "..", "/etc/away", "\\\\host\\share", "a\\..\\..\\away", "C:\\away", "C:away", "",
        "a//b", "a/", "./a", "nul\0", "line\nfeed", "a" * 200, "~/..", "trail.", "trail ", " lead", 'quo"te', "a*",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_written(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Give a name"):
        export(DONE.results, FORMATS, prefix, "output")
    assert there(tmp_path) == []


@pytest.mark.parametrize("prefix", ["海/比較", "my texts", "2026-01-02 run.1", "a\\b", "~", "x"])
def test_a_name_may_be_in_any_language(prefix: str, output: Path) -> None:
    (file,) = export(DONE.results, ["md"], prefix, "output")
    assert (output / file["subfolder"] / "report.md").is_file()
    assert file["subfolder"] == prefix.replace("\\", "/") + "_00001"


def test_a_link_out_of_the_folder_is_not_followed(output: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    output.mkdir(parents=True)
    (output / "link").symlink_to(tmp_path / "away")
    with pytest.raises(BadInput, match="lies elsewhere"):
        export(DONE.results, FORMATS, "link/sea", "output")
    assert there(tmp_path / "away") == []


def test_a_folder_that_cannot_be_written_says_so_without_its_path(output: Path) -> None:
    output.mkdir(parents=True)
    (output / "taken").write_text("a file")
    with pytest.raises(BadInput, match=r"cannot be written") as refused:
        export(DONE.results, FORMATS, "taken/sea", "output")
    assert str(output) not in str(refused.value)
