"""What the gallery refuses, whose pictures it shows, and what deleting and ageing leave behind."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from pathlib import Path

import anyio
import httpx
import pytest
from PIL import Image

from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.page.test_gallery import made
from tests.workbenches import served, settings_for

TOKEN = "a-token-of-sixteen"


def files(data: Path) -> list[Path]:
    return [path for path in (data / "assets").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("since=yesterday", 422),
        ("until=9999-99-99", 422),
        ("since=0001-01-01", 422),
        ("kind=poem", 422),
        ("show=theirs", 422),
        ("q=" + "a" * 301, 422),
        ("before=nothing", 404),
        ("job=nothing", 404),
        ("template=%00%ff&model='--&style=%22&q=%22)%20OR%20(&since=&until=", 200),
        ("since=2999-12-31&until=1970-01-01&kept=x", 200),
    ],
)
async def test_what_an_address_asks_for_is_read_strictly(api: httpx.AsyncClient, query: str, status: int) -> None:
    assert (await api.get(f"/gallery?{query}")).status_code == status
    assert (await api.get(f"/gallery/more?before=none&{query}")).status_code == (404 if status == 200 else status)


async def test_a_page_goes_on_where_the_one_before_ended(api: httpx.AsyncClient) -> None:
    pictures = [await made(api, "a lake", seed=seed) for seed in range(3)]
    rest = (await api.get("/gallery/more", params={"before": pictures[1]})).text
    assert pictures[0] in rest and pictures[1] not in rest and "go-on" not in rest


async def test_what_made_a_picture_is_named_in_the_language_of_the_reader(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, comfyui_routes=True) as http:
        http.headers["Accept-Language"] = "zh"
        picture = await made(http, "a lake", seed=1)
        plain = {"width": 64, "height": 64, "batch_size": 1, "color": 0}
        graph = {
            "1": {"class_type": "EmptyImage", "inputs": plain},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        }
        assert (await http.post("/comfyui/prompt", json={"prompt": graph})).status_code == 200
        with anyio.fail_after(10):
            while (job := (await http.get("/api/v1/jobs")).json()["jobs"][0])["state"] != "succeeded":
                await anyio.sleep(0.02)
        own = job["assets"][0]["id"]
        told = (await http.get("/gallery")).text
        assert ">文生图</option>" in told and ">自定义工作流</option>" in told
        assert "<dd>文生图</dd>" in (await http.get(f"/gallery/{picture}")).text
        assert "<dd>自定义工作流</dd>" in (await http.get(f"/gallery/{own}")).text
        compared = (await http.get(f"/gallery/compare?pick-{picture}=1&pick-{own}=1")).text
        assert '<th scope="row">工具</th><td>文生图</td><td>自定义工作流</td>' in compared


async def test_a_thumbnail_is_small_and_kept_by_the_browser(api: httpx.AsyncClient) -> None:
    picture = await made(api, "a lake", width=768, height=512)
    first = await api.get(f"/gallery/{picture}/thumbnail")
    shown = Image.open(io.BytesIO(first.content))
    assert (shown.format, shown.size) == ("WEBP", (384, 256)) and len(first.content) < 48_000
    assert "immutable" in first.headers["cache-control"]
    again = await api.get(f"/gallery/{picture}/thumbnail", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


async def test_deleting_removes_the_file_and_leaves_the_job(tmp_path: Path, api: httpx.AsyncClient) -> None:
    picture = await made(api, "a lake", seed=1)
    same = await made(api, "a lake", seed=1)
    job = (await api.get("/api/v1/jobs")).json()["jobs"][0]["id"]
    assert len(files(tmp_path)) == 1, "both have the same bytes"
    asked = await api.post("/gallery/delete", data={f"pick-{picture}": "1"})
    assert asked.status_code == 200 and len(files(tmp_path)) == 1, "it only asks"
    assert (await api.post("/gallery/delete", data={f"pick-{picture}": "1", "sure": "1"})).status_code == 303
    assert len(files(tmp_path)) == 1 and (await api.get(f"/gallery/{picture}")).status_code == 404
    assert (await api.post("/gallery/delete", data={f"pick-{same}": "1", "sure": "1"})).status_code == 303
    assert files(tmp_path) == []
    assert (await api.get(f"/api/v1/jobs/{job}")).json()["assets"] == []
    assert (await api.post("/gallery/delete", data={f"pick-{same}": "1", "sure": "1"})).status_code == 404
    assert (await api.post("/gallery/delete", data={"sure": "1"})).status_code == 400


async def test_a_zip_without_metadata_names_what_cannot_be_in_it(api: httpx.AsyncClient, tmp_path: Path) -> None:
    one, two = await made(api, "a lake", seed=1), await made(api, "a lake", seed=1, steps=3)
    files(tmp_path)[0].unlink()
    answer = await api.post("/gallery/download", data={f"pick-{one}": "1", f"pick-{two}": "1", "bare": "1"})
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert sorted(packed.namelist()) == ["missing.txt", "txt2img-1.png"]
    assert Image.open(io.BytesIO(packed.read("txt2img-1.png"))).info == {}


async def test_nobody_sees_or_changes_the_pictures_of_others(tmp_path: Path, embedded_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path, embedded_url), dispatch=False) as workbench:
        secret = await workbench.tokens.add(Token("ann"))
    async with served(tmp_path, embedded_url, token=TOKEN) as http:
        http.headers["Authorization"] = f"Bearer {TOKEN}"
        picture = await made(http, "a lake", seed=1)
        http.headers["Authorization"] = f"Bearer {secret}"
        assert picture not in (await http.get("/gallery?show=all")).text
        for path in ("", "/thumbnail", "/bare"):
            assert (await http.get(f"/gallery/{picture}{path}")).status_code == 404, path
        for path in ("delete", "download", f"{picture}/keep", f"{picture}/vary"):
            asked = {f"pick-{picture}": "1", "sure": "1", "kept": "1"}
            assert (await http.post(f"/gallery/{path}", data=asked)).status_code == 404, path
        assert (await http.get(f"/gallery?before={picture}")).status_code == 404
        own = await made(http, "a lake", seed=2)
        assert (await http.get(f"/gallery/compare?pick-{picture}=1&pick-{own}=1")).status_code == 404
        assert (await http.post("/gallery/retention", data={"days": "1"})).status_code == 403
        assert "days" not in (await http.get("/gallery")).text.split('id="retention"')[1].split("<p")[0]
        assert len(files(tmp_path)) == 2


async def test_the_administrator_sets_how_long_pictures_are_kept(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(written))
    async with served(tmp_path, embedded_url) as http:
        assert (await http.post("/gallery/retention", data={"days": "-1"})).status_code == 422
        assert (await http.post("/gallery/retention", data={"days": "99999999"})).status_code == 422
        answer = await http.post("/gallery/retention", data={"days": "30"})
        assert 'value="30"' in answer.text and "retention = 30" in written.read_text()


async def test_old_pictures_are_deleted_by_the_workbench_itself(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        old, kept, new = [await made(http, "a lake", seed=seed) for seed in (1, 2, 3)]
        await http.post(f"/gallery/{kept}/keep", data={"kept": "1"})
    with sqlite3.connect(tmp_path / "workbench.sqlite3") as database:
        database.execute("UPDATE picture SET made = made - 3 * 86400 WHERE asset != ?", (new,))
    database.close()
    async with served(tmp_path, embedded_url, retention=2) as http:
        with anyio.fail_after(10):
            while len(files(tmp_path)) > 2:
                await anyio.sleep(0.02)
        told = (await http.get("/gallery")).text
        assert old not in told and kept in told and new in told


async def test_what_is_fixed_for_everybody_is_not_varied_and_cells_tell_of_it(
    tmp_path: Path, embedded_url: str
) -> None:
    async with served(tmp_path, embedded_url) as http:
        picture = await made(http, "a lake", seed=1, steps=2)
        assert '<option value="steps"' in (await http.get(f"/gallery/{picture}")).text
    async with served(tmp_path, embedded_url, locked={"*": {"cfg": 3.0}, "txt2img": {"steps": 1}}) as http:
        told = (await http.get(f"/gallery/{picture}")).text
        assert '<option value="width"' in told
        assert '<option value="steps"' not in told and '<option value="cfg"' not in told
        for name in ("steps", "cfg"):
            asked = {"parameter1": "seed", "values1": "1", "parameter2": name, "values2": "1, 3"}
            refused = await http.post(f"/gallery/{picture}/vary", data=asked)
            assert refused.status_code == 422 and f"{name} is fixed by an administrator." in refused.text
        started = await http.post(f"/gallery/{picture}/vary", data={"parameter1": "width", "values1": "256, 259"})
        sheet = (await http.get(started.headers["location"])).text
        assert sheet.count("steps is 1 by the administrator, not 2.") == 1, "what all cells have is said once"
        assert sheet.count("width was rounded from 259") == 1, "and what one has beside its picture"
