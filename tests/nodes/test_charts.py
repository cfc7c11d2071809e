"""Charts from specifications, by the real vl_convert in its own process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comfy_nodes.charts import drawn
from comfy_nodes.charts.specification import checked
from llm_bridge.compare.reports.fonts import find_fonts
from llm_bridge.errors import BadInput, NotInstalled

RED = "#d62728"
VALUES = {"values": [{"name": "one", "size": 3}, {"name": "two", "size": 5}]}
ENCODING = {"x": {"field": "name", "type": "nominal"}, "y": {"field": "size", "type": "quantitative"}}
BARS: Mapping[str, Any] = {"data": VALUES, "mark": {"type": "bar", "color": RED}, "encoding": ENCODING}

# A regular expression that goes back and forth for longer than anybody waits.
ENDLESS = {**BARS, "transform": [{"calculate": f"test(/(a+)+$/, '{'a' * 60}!')", "as": "never"}]}
HUGE = {**BARS, "data": {"sequence": {"start": 0, "stop": 1e9, "as": "size"}}}


def opened(png: bytes) -> Image.Image:
    return Image.open(BytesIO(png)).convert("RGB")


def share(picture: Image.Image, colour: tuple[int, int, int]) -> float:
    """How much of the picture has this colour."""
    colours = picture.getcolors(picture.width * picture.height) or []
    return sum(count for count, found in colours if found == colour) / (picture.width * picture.height)


async def refused(spec: Mapping[str, Any], **options: Any) -> str:
    with pytest.raises(BadInput) as failure:
        await drawn(spec, **options)
    return str(failure.value)


def programs() -> set[str]:
    """The ids of the processes that this one started, from whichever thread."""
    found: set[str] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            found.update((thread / "children").read_text().split())
    return found


async def started(before: set[str]) -> set[str]:
    async with asyncio.timeout(30):
        while not (new := programs() - before):
            await asyncio.sleep(0.01)
    return new


async def test_a_chart_has_the_size_and_the_colours_that_were_asked_for() -> None:
    picture = opened(await drawn(BARS, width=400, height=300))
    assert picture.size == (400, 300)
    assert share(picture, (214, 39, 40)) > 0.25
    assert share(picture, (255, 255, 255)) > 0.3


async def test_scale_multiplies_the_pixels_and_a_side_may_be_left_to_the_specification() -> None:
    assert opened(await drawn(BARS, width=300, height=200, scale=2)).size == (600, 400)
    sized = {**BARS, "width": 100, "height": 120}
    own = opened(await drawn(sized))
    assert 100 < own.width < 220
    taller = opened(await drawn(sized, height=500))
    assert taller.height == 500
    assert abs(taller.width - own.width) < 30, "its labels may be longer"


@pytest.mark.parametrize(
    "several",
    [
        {"data": VALUES, "hconcat": [{"mark": "bar", "encoding": ENCODING}, {"mark": "line", "encoding": ENCODING}]},
        {**BARS, "encoding": {**ENCODING, "column": {"field": "name"}}},
    ],
    ids=["concat", "column"],
)
async def test_several_views_keep_their_proportions_and_fill_what_they_may(several: Mapping[str, Any]) -> None:
    own = opened(await drawn(several))
    small = opened(await drawn(several, width=own.width // 2, height=2000))
    assert abs(small.width - own.width / 2) <= 2
    assert abs(small.height - own.height / 2) <= 2


async def test_the_dark_theme_is_dark_with_light_letters_and_a_specification_s_own_look_wins() -> None:
    light = opened(await drawn(BARS))
    dark = opened(await drawn({**BARS, "background": "transparent"}, theme="dark"))
    own = opened(await drawn({**BARS, "background": "#00ff00"}, theme="dark"))
    assert light.getpixel((2, 2)) == (255, 255, 255)
    assert dark.getpixel((2, 2)) == (27, 29, 33)
    assert share(dark, (230, 232, 235)) > 0, "the titles of the axes"
    assert own.getpixel((2, 2)) == (0, 255, 0)
    assert "no theme" in await refused(BARS, theme="pink")


async def test_chinese_japanese_and_korean_letters_are_drawn() -> None:
    if not all(any(letter in face.coverage for face in find_fonts().text) for letter in "一鬱語한"):
        pytest.skip("needs a font with Chinese, Japanese and Korean letters: install fonts-wqy-microhei")

    async def letter(sign: str) -> bytes:
        text = {"data": VALUES, "mark": {"type": "text", "fontSize": 60}, "encoding": {"text": {"value": sign}}}
        return opened(await drawn(text, width=150, height=150)).tobytes()

    shown = [await letter(sign) for sign in "一鬱語한\ue123\ue124"]
    assert len(set(shown[:5])) == 5, "each has its own shape, and none is the box of what no font has"
    assert shown[4] == shown[5]


@pytest.mark.parametrize(
    "part",
    [
        {"data": {"url": "http://127.0.0.1:9/rows.csv"}},
        {"data": {"url": "file:///etc/hostname", "format": {"type": "csv"}}},
        {"data": {"url": "/etc/hostname"}},
        {"mark": {"type": "point", "url": "http://127.0.0.1:9/a.png"}},
        {"encoding": {**ENCODING, "url": {"field": "name"}}},
        {"encoding": {**ENCODING, "url": {"value": "/etc/a.png"}}},
        {"config": {"bar": {"url": "/etc/a.png"}}},
        {"transform": [{"lookup": "name", "from": {"data": {"url": "file:///x.csv"}, "key": "a", "fields": ["b"]}}]},
        {"layer": [{"mark": "bar", "data": {"url": "a.csv"}}]},
        {"hconcat": [{"vconcat": [{"mark": "geoshape", "data": {"url": "a.json", "format": {"type": "topojson"}}}]}]},
    ],
)
async def test_whatever_would_be_loaded_is_refused_before_anything_runs(part: Mapping[str, Any]) -> None:
    before = programs()
    said = await refused({**BARS, **part})
    assert 'has a "url"' in said
    assert "Put the values into the specification" in said
    assert programs() == before


async def test_data_may_have_a_column_named_url_and_pictures_have_no_place() -> None:
    rows = {"values": [{"name": "one", "size": 3, "url": "http://127.0.0.1:9/"}]}
    named = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "data": {"name": "own"}}
    assert await drawn({**BARS, "data": rows})
    assert await drawn({**BARS, **named, "datasets": {"own": rows["values"]}})
    for mark in ("image", {"type": "image", "url": "file:///etc/a.png"}):
        assert 'no mark "image"' in await refused({**BARS, "mark": mark})


async def test_the_program_itself_draws_no_pictures_and_loads_no_data() -> None:
    program = Path(sys.modules[drawn.__module__].__file__ or "").with_name("program.py")
    rest: dict[str, Any] = {"config": {}, "width": 0, "height": 0, "scale": 1, "most_pixels": 1000}
    image = {"data": VALUES, "mark": {"type": "image", "url": "/a.png"}, "encoding": ENCODING}
    for spec, words in (
        (image, "may not show pictures"),
        ({**BARS, "data": {"url": "http://127.0.0.1:9/"}}, "not allow"),
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(program)), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate(json.dumps({**rest, "spec": spec}).encode())
        assert words in json.loads(told)["error"]


async def test_a_chart_that_never_ends_is_killed_at_its_deadline() -> None:
    before = programs()
    task = asyncio.create_task(refused(ENDLESS, deadline=3))
    new = await started(before)
    assert "longer than 3 seconds" in await task
    assert not new & programs()


async def test_a_chart_that_wants_all_memory_ends_with_words() -> None:
    before = programs()
    assert "more memory or time" in await refused(HUGE, deadline=200)
    assert programs() == before


async def test_cancelling_kills_the_process() -> None:
    before = programs()
    task = asyncio.create_task(drawn(ENDLESS))
    new = await started(before)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not new & programs()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"mark": "bars"}, 'There is no mark "bars". The marks are arc, area, bar'),
        ({"mark": {"type": "pie"}}, 'There is no mark "pie"'),
        ({"encoding": {"x": {"field": "name", "type": "category"}}}, "Invalid field type"),
        ({"transform": [{"calculate": "nofn(1)", "as": "b"}]}, "Unrecognized function: nofn"),
        ({"encoding": {**ENCODING, "color": {"field": "name", "scale": {"scheme": "nope"}}}}, "scheme name: nope"),
        ({"data": [{"name": "one"}]}, "The data is no object"),
        ({"data": {"name": "sales"}}, 'no data of the name "sales"'),
        ({"data": {"name": "results"}}, "Link results"),
        ({"data": None}, "has no data"),
        ({"datasets": [1]}, "datasets are no object"),
        ({"data": {"values": [{"size": 1}] * 20_001}}, "20001 rows"),
        ({"data": {"values": "name,size\n" * 20_001, "format": {"type": "csv"}}}, "20002 rows"),
        ({"description": "x" * 8_000_000}, "larger than 8000000 bytes"),
        ({"width": 18_000, "height": 18_000}, "pixels, and may have 16777216"),
        ({"width": 1e7}, "The width may be 20000 pixels, not 1e+07"),
        ({"width": "1e7"}, "The width may be 20000 pixels, not 1e+07"),
        ({"height": -1e7}, "The height may be 20000 pixels, not -1e+07"),
        ({"height": {"step": 1e7}}, "The height may be 20000 pixels, not 1e+07"),
        ({"config": {"view": {"step": 30_000}}}, "The view may be 20000 pixels, not 30000"),
        ({"config": {"view": {"continuousWidth": 1e9}}}, "The continuousWidth may be"),
        ({"hconcat": [{"mark": {"type": "bar", "width": 10**30}}]}, "The width may be"),
        ({"width": 10**400}, "The width may be"),
    ],
)
async def test_what_is_wrong_is_said_in_words_that_a_model_can_use(part: Mapping[str, Any], words: str) -> None:
    said = await refused({**BARS, **part})
    assert words in said
    assert len(said) < 600
    assert not any(trace in said for trace in ("jsdelivr", "    at ", "Traceback", "ext:"))


async def test_large_numbers_that_are_no_pixels_are_let_through() -> None:
    rows = {"values": [{"width": 3e9, "size": 5e9}, {"width": 4e9, "size": 7e9}]}
    encoding = {
        "x": {"field": "width", "type": "quantitative", "bin": {"step": 1e9}},
        "y": {"field": "size", "type": "quantitative"},
    }
    assert await drawn({**BARS, "width": "container"})
    assert await drawn({**BARS, "width": {"step": 20}})
    assert await drawn({"data": rows, "mark": "bar", "encoding": encoding})


async def test_what_is_no_specification_at_all_is_told_apart() -> None:
    assert "no Vega-Lite specification. It needs one of mark, layer" in await refused({"marks": [], "data": VALUES})
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"layer": deep}
    with pytest.raises(BadInput, match="too deep"):
        checked(deep)
    while deep:
        deep = deep.pop("layer")


async def test_without_vl_convert_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(NotInstalled, match="pip install vl-convert-python"):
        await drawn(BARS)
