"""Templates as a person makes them: dropped, trimmed, tried, saved, used, changed and deleted."""

from __future__ import annotations

import base64
import json
import tomllib
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Locator, Page, expect

from tests.page.conftest import At
from tests.workbenches import served

DROP = """([name, kind, data]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([Uint8Array.from(atob(data), (each) => each.charCodeAt(0))], name, { type: kind }));
  for (const step of ["dragover", "drop"])
    document.body.dispatchEvent(
      new DragEvent(step, { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""


async def painted(http: httpx.AsyncClient) -> bytes:
    """A picture that the engine made, with its workflow in it."""
    values = {"prompt": "a lighthouse", "steps": 4, "width": 64, "height": 64}
    job = (await http.post("/api/v1/jobs", json={"template": "txt2img", "values": values})).json()
    async with http.stream("GET", f"/api/v1/jobs/{job['id']}/events") as events:
        async for line in events.aiter_lines():
            if line.startswith("event: end"):
                break
    done = (await http.get(f"/api/v1/jobs/{job['id']}")).json()
    return (await http.get(done["assets"][0]["url"])).content


async def drop(page: Page, name: str, kind: str, data: bytes) -> None:
    await page.evaluate(DROP, [name, kind, base64.b64encode(data).decode()])
    await page.wait_for_url("**/templates/my-drafts/*")


def row(page: Page, label: str) -> Locator:
    return page.get_by_role("group", name=label, exact=True)


async def test_a_dropped_picture_becomes_a_tool_that_works(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        somebody.expected = ["409"]
        page = somebody.page
        picture = await painted(http)
        await somebody.go("/templates")
        await somebody.check()
        await drop(page, "my lighthouse.png", "image/png", picture)
        await expect(page.get_by_role("img", name="Graph of my lighthouse")).to_be_visible()
        await somebody.check()

        # Trimmed: one is left out, one is bounded wrongly, told so, and mended.
        await row(page, "Batch").get_by_role("checkbox", name="Batch").uncheck()
        await row(page, "Steps").get_by_text("Change").click()
        await row(page, "Steps").get_by_label("Least").fill("90")
        await row(page, "Steps").get_by_label("Most").fill("50")
        await page.get_by_role("button", name="Check and keep the draft").click()
        await row(page, "Steps").get_by_text("min is larger than max").wait_for()
        await row(page, "Steps").get_by_label("Least").fill("1")

        # Tried before it is there for anybody, then saved, but not over another one without being told to.
        await page.get_by_label("Id, the name of its tool").fill("txt2img")
        await page.get_by_role("button", name="Check and keep the draft").click()
        await page.locator("#trial").get_by_label("Prompt", exact=True).fill("a red barn")
        await page.get_by_role("button", name="Try without saving").click()
        await expect(page.get_by_role("img", name="What the last try made")).to_be_visible()
        await somebody.check()
        await page.get_by_role("button", name="Save the template").click()
        await page.get_by_role("alert").get_by_text("There is a template 'txt2img' already.").wait_for()
        await page.get_by_label("Id, the name of its tool").fill("lighthouse")
        await page.get_by_role("button", name="Save the template").click()
        await page.wait_for_url("**/templates/lighthouse*")
        await expect(page.get_by_role("img", name="Preview of my lighthouse")).to_be_visible()
        await somebody.check()

        manifest = tomllib.loads((tmp_path / "templates/lighthouse/manifest.toml").read_text())
        assert "batch" not in manifest["parameters"] and manifest["parameters"]["steps"]["max"] == 50
        assert (tmp_path / "templates/lighthouse/preview.webp").stat().st_size > 100
        values = {"prompt": "a hill", "steps": 60}
        refused = await http.post("/api/v1/jobs", json={"template": "lighthouse", "values": values})
        assert refused.status_code == 422 and refused.json()["error"]["details"]["parameter"] == "steps"
        await page.get_by_role("link", name="Use it").first.click()
        await page.wait_for_url("**/tools/lighthouse")


async def test_an_own_template_is_changed_and_deleted_on_a_phone_in_the_dark(
    tmp_path: Path, embedded_url: str, person: At
) -> None:
    async with (
        served(tmp_path, embedded_url) as http,
        person(http.base_url, phone=True, dark=True, chinese=True) as somebody,
    ):
        page = somebody.page
        await somebody.go("/templates/txt2img")
        await somebody.check()
        await page.get_by_role("button", name="复制为我的模板").click()
        await page.wait_for_url("**/my-drafts/*")
        await somebody.check()
        # What was typed outlives a reload, without any button.
        await page.get_by_label("标题").fill("我的画")
        async with page.expect_response("**/my-drafts/*"):
            await page.get_by_label("标题").press("Tab")
        await page.reload()
        await expect(page.get_by_label("标题")).to_have_value("我的画")
        await page.get_by_label("添加工作流中的值").select_option(label="filename_prefix")
        await page.get_by_role("button", name="添加", exact=True).click()
        # It is where the person looks, and opened.
        await expect(row(page, "Filename prefix").get_by_label("名称")).to_be_in_viewport()
        await expect(row(page, "Filename prefix").get_by_label("名称")).to_have_value("filename_prefix")
        await page.get_by_role("button", name="保存模板").click()
        await page.wait_for_url("**/templates/my_txt2img*")
        await somebody.check()

        await page.get_by_role("button", name="修改").click()
        await row(page, "Steps").get_by_text("修改").click()
        await row(page, "Steps").get_by_label("默认值").fill("7")
        await page.get_by_role("button", name="保存模板").click()
        await page.wait_for_url("**/templates/my_txt2img*")
        kept = tomllib.loads((tmp_path / "templates/my_txt2img/manifest.toml").read_text())
        assert (kept["title"], kept["parameters"]["steps"]["default"]) == ("我的画", 7)

        await page.get_by_role("button", name="删除").click()
        await somebody.check()
        await page.get_by_role("button", name="彻底删除").click()
        await page.wait_for_url("**/templates")
        assert not (tmp_path / "templates/my_txt2img").exists()
        assert (await http.get("/templates/my_txt2img")).status_code == 404


async def test_what_is_missing_is_told_with_what_to_do(tmp_path: Path, embedded_url: str, person: At) -> None:
    broken = tmp_path / "templates/broken"
    broken.mkdir(parents=True)
    (broken / "manifest.toml").write_text('title = "x"\ndescription = "x"\ncolour = 1\n')
    (broken / "workflow.json").write_text("{}")
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        somebody.expected = ["422"]
        page = somebody.page
        await somebody.go("/templates")
        await page.get_by_text("colour: there is no such key").wait_for()
        graph: Any = {"nodes": [{"id": 1, "type": "NobodysNode"}]}
        await page.get_by_text("Paste JSON instead").click()
        await page.get_by_label("Workflow as JSON").fill(json.dumps(graph))
        await page.get_by_role("button", name="Import").click()
        told = page.get_by_role("alert").filter(has_text="NobodysNode")
        await told.get_by_text("Install Missing Custom Nodes").wait_for()
        await expect(told).to_be_focused()
        await somebody.check()
