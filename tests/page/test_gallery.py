"""The gallery as a person uses it, in a browser: found, looked at, compared, varied, kept and deleted."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx
from PIL import Image

from tests.page.conftest import At
from tests.workbenches import served


async def made(http: httpx.AsyncClient, prompt: str, **values: object) -> str:
    """The picture of a job, when it has ended."""
    body = {"template": "txt2img", "values": {"prompt": prompt, "steps": 2, "width": 256, "height": 256, **values}}
    job = (await http.post("/api/v1/jobs", json=body)).json()["id"]
    async with http.stream("GET", f"/api/v1/jobs/{job}/events") as events:
        async for _ in events.aiter_lines():
            pass
    told = (await http.get(f"/api/v1/jobs/{job}")).json()
    assert told["state"] == "succeeded", told
    return told["assets"][0]["id"]


async def test_pictures_are_found_looked_at_and_taken_along(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        page = somebody.page
        await somebody.go("/gallery")
        await page.get_by_role("link", name="Make a picture").wait_for()
        await made(http, "a lighthouse", seed=7)
        fox = await made(http, "a small fox", seed=8)
        await somebody.go("/gallery")
        await page.locator(".tile").nth(1).wait_for()
        await page.wait_for_function("[...document.querySelectorAll('.tile img')].every((img) => img.naturalWidth > 0)")
        await somebody.check()
        await page.get_by_label("Search in prompts").fill("light")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**q=light*")
        await page.get_by_role("link", name="a lighthouse").click()
        await page.get_by_text("procedural-sd15.safetensors").first.wait_for()
        assert await page.locator("dd").get_by_text("7", exact=True).count() == 1
        await page.get_by_role("button", name="Copy").click()
        assert await page.evaluate("navigator.clipboard.readText()") == "a lighthouse"
        assert await page.locator("[rel=prev], [rel=next]").count() == 0, "only one has these words"
        await somebody.go(f"/gallery/{fox}")
        await somebody.check()
        await page.keyboard.press("ArrowRight")
        await page.wait_for_url(lambda url: fox not in url)
        await page.keyboard.press("ArrowLeft")
        await page.wait_for_url(f"**/{fox}")
        async with page.expect_download() as saved:
            await page.get_by_role("link", name="Without metadata").click()
        bare = Image.open(io.BytesIO(Path(await (await saved.value).path()).read_bytes()))
        assert (bare.size, bare.info) == ((256, 256), {})
        await page.get_by_role("button", name="Keep for good").click()
        await page.locator("#keep[aria-pressed=true]").wait_for()
        await somebody.go("/gallery?kept=1")
        await page.get_by_label("Pick: a small fox").check()
        async with page.expect_download() as saved:
            await page.get_by_role("button", name="Download").click()
        packed = zipfile.ZipFile(io.BytesIO(Path(await (await saved.value).path()).read_bytes()))
        assert packed.testzip() is None and packed.namelist() == ["txt2img-8.png"]


async def test_two_are_compared_and_deleted_on_a_phone(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with (
        served(tmp_path, embedded_url) as http,
        person(http.base_url, phone=True, dark=True, chinese=True) as somebody,
    ):
        page = somebody.page
        for seed in (1, 2, 3):
            await made(http, f"湖 {seed}", seed=seed)
        await somebody.go("/gallery")
        for seed in (1, 2):
            await page.get_by_label(f"选择：湖 {seed}").check()
        await somebody.check()
        await page.get_by_role("button", name="对比两张").click()
        slider = page.get_by_role("slider")
        wide = "(found) => document.querySelector(found).getBoundingClientRect().width"
        assert await page.evaluate(wide, ".over img") == await page.evaluate(wide, ".slide input") > 256
        await slider.focus()
        await page.keyboard.press("End")
        assert (
            await page.evaluate("getComputedStyle(document.querySelector('.top')).clipPath")
            == "inset(0px 0px 0px 100%)"
        )
        assert await page.get_by_role("cell", name="湖 1").count() == 1
        await somebody.check()
        await page.go_back()
        await page.get_by_role("button", name="删除").click()
        await somebody.check()
        await page.get_by_role("button", name="永久删除 2 个").click()
        await page.get_by_role("status").get_by_text("已删除：2").wait_for()
        assert await page.locator(".tile").count() == 1
        assert len([path for path in (tmp_path / "assets").rglob("*") if path.is_file()]) == 1


async def test_a_picture_is_varied_and_its_sheet_fills(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        somebody.expected = ["422"]
        page = somebody.page
        picture = await made(http, "a lake", seed=5)
        await somebody.go(f"/gallery/{picture}")
        await page.get_by_text("Vary it", exact=True).click()
        await page.get_by_label("Across", exact=True).select_option("steps")
        await page.get_by_text("Now: 2").wait_for()
        await page.locator("#values1").fill("many")
        await page.get_by_role("button", name="Start").click()
        await page.get_by_role("alert").get_by_text("is no number").wait_for()
        await page.locator("#values1").fill("1, 3")
        await page.get_by_role("button", name="Start").click()
        await page.wait_for_url("**/gallery/sweeps/*")
        await page.get_by_role("button", name="As one picture").wait_for()
        assert await page.locator(".sheet img").count() == 2
        await somebody.check()
        await page.get_by_role("button", name="As one picture").click()
        await page.get_by_text("is a contact sheet").wait_for()
        await somebody.go("/gallery/sweeps")
        await page.get_by_text("steps: 1, 3").wait_for()
        await somebody.check()
