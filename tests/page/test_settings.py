"""The settings as a person uses them: finding and adding servers, tokens, chats, options, the doctor and the API."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from comfy_mcp.settings import load_settings
from llm_bridge.providers.registry import DIALECTS
from tests.page.conftest import At
from tests.texts import text_server
from tests.workbenches import served


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


@asynccontextmanager
async def at_a_usual_port(url: str) -> AsyncGenerator[str]:
    """The same server at a port where LLM servers are looked for; gives its address there."""
    host, port = url.removeprefix("http://").split(":")

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        with suppress(OSError):
            await asyncio.gather(_pumped(reader, back), _pumped(there, writer))

    server = await asyncio.start_server(passed_on, "127.0.0.1", _free(), reuse_address=True)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _pumped(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()


def _free() -> int:
    for port in sorted({port for dialect in DIALECTS for port in dialect.ports}):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    pytest.skip("every port where LLM servers listen is taken")


async def test_servers_are_found_added_changed_and_removed(
    tmp_path: Path, file: Path, embedded_url: str, slow_url: str, person: At
) -> None:
    async with (
        text_server() as script,
        at_a_usual_port(script.url) as found_at,
        served(tmp_path / "data", embedded_url) as http,
        person(http.base_url) as somebody,
    ):
        page = somebody.page
        await somebody.go("/settings")
        await page.get_by_text("answers", exact=True).wait_for()
        await somebody.check()
        await page.locator("main nav").get_by_role("link", name="Servers").click()
        await page.get_by_role("button", name="Scan this machine").click()
        found = page.locator("#found article", has_text=found_at)
        await somebody.check()
        await found.get_by_role("button", name="Add").click()
        await page.get_by_role("status").filter(has_text="is added.").wait_for()
        (server,) = load_settings().llm_servers
        card = page.locator("#servers article", has_text=server.name)
        await card.get_by_text("2 models").wait_for()

        await page.get_by_text("Another machine, or an address").click()
        await page.get_by_label("Address", exact=True).last.fill(slow_url)
        await page.get_by_role("button", name="Look what is there").click()
        await page.locator("#found").get_by_label("Name").fill("second")
        await page.locator("#found").get_by_role("button", name="Add").click()
        card = page.locator("#servers article", has_text="second")
        await card.get_by_text("Change it").click()
        await card.get_by_label("Jobs at a time").fill("3")
        await card.get_by_label("Card").fill("the big one")
        await somebody.check()
        await card.get_by_role("button", name="Save").click()
        await page.get_by_role("status").filter(has_text="second is changed.").wait_for()
        assert [(each.name, each.concurrency, each.card) for each in load_settings().backends] == [
            ("second", 3, "the big one")
        ]
        queue = (await http.get("/api/v1/backends")).json()["backends"]
        assert {each["name"]: each["concurrency"] for each in queue}["second"] == 3

        await card.get_by_text("Change it").click()
        await card.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await page.get_by_role("status").filter(has_text="second is removed.").wait_for()
        assert load_settings().backends == [] and len(load_settings().llm_servers) == 1


async def test_the_first_token_signs_its_maker_in_and_keeps_everybody_else_out(
    tmp_path: Path, file: Path, embedded_url: str, person: At
) -> None:
    async with (
        served(tmp_path / "data", embedded_url) as http,
        person(http.base_url, phone=True, dark=True, chinese=True) as somebody,
    ):
        page = somebody.page
        await somebody.go("/settings/tokens")
        await page.get_by_text("目前无需令牌").wait_for()
        await somebody.check()
        await page.get_by_role("button", name="生成第一个令牌").click()
        given = page.locator("#given")
        first = await given.inner_text()
        assert (await http.get("/settings")).status_code == 303
        await page.get_by_text("您的", exact=True).wait_for()
        await page.get_by_text("如何使用").click()
        await page.locator("summary", has_text="LibreChat").click()
        assert first in await page.locator("#made-librechat").inner_text()
        await somebody.check()

        await page.get_by_label("名称").fill("tablet")
        await page.get_by_label("生成", exact=False).first.check()
        await page.get_by_role("button", name="生成令牌").click()
        await page.get_by_role("heading", name="tablet 的令牌").wait_for()
        second = await given.inner_text()
        assert second != first
        await page.get_by_role("button", name="复制").first.click()
        assert await page.evaluate("navigator.clipboard.readText()") == second
        assert (await http.get("/api/v1/queue", headers={"Authorization": f"Bearer {second}"})).status_code == 200
        await page.get_by_role("button", name="吊销 tablet").click()
        await page.get_by_role("dialog").get_by_role("button", name="吊销").click()
        await page.get_by_text("tablet 已不再是有效令牌。").wait_for()
        assert (await http.get("/api/v1/queue", headers={"Authorization": f"Bearer {second}"})).status_code == 401
        for path in ("/settings", "/settings/options", "/settings/doctor", "/settings/clients", "/settings/api"):
            await somebody.go(path)
            await page.locator("main nav").wait_for()
            await somebody.check()
            await _tabs_are_one_row_with_the_open_one_in_view(page)
        first = page.locator(".operations summary").first
        rows = await first.evaluate("(row) => [...row.children].map((each) => each.getBoundingClientRect().top)")
        method, path, brief = rows
        assert abs(method - path) < 8 and brief > path + 16, "its method beside the path, and what it does below"
        card = await page.locator(".operations").first.bounding_box()
        assert card and method - card["y"] > 8, "nothing is cut at the edge"


async def _tabs_are_one_row_with_the_open_one_in_view(page: Page) -> None:
    tabs = page.locator("main nav a")
    assert len({round(await tabs.nth(each).evaluate("(tab) => tab.offsetTop")) for each in range(7)}) == 1
    await expect(page.locator("main nav [aria-current]")).to_be_in_viewport(ratio=1)
    await tabs.last.focus()
    await expect(tabs.last).to_be_in_viewport(ratio=1)


async def test_options_hold_and_the_doctor_looks_at_everything(
    tmp_path: Path, file: Path, embedded_url: str, person: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_MAX_ATTEMPTS", "3")
    data = tmp_path / "data"
    async with served(data, embedded_url) as http, person(http.base_url) as somebody:
        page = somebody.page
        await somebody.go("/settings/options")
        assert await page.get_by_label("Runs of one job").is_disabled()
        await page.get_by_text("set by WORKBENCH_MAX_ATTEMPTS").wait_for()
        await page.get_by_label("Wait for a picture").fill("90")
        await page.get_by_label("Pictures inside answers").select_option("never")
        await page.get_by_label("Fetch pictures from the internet").check()
        await page.get_by_label("Pictures from text").first.select_option("txt2img_lora")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("status").filter(has_text="It holds from now on.").wait_for()
        settings = load_settings()
        assert (settings.wait, settings.inline_images, settings.fetch_urls) == (90, "never", True)
        assert settings.a1111.txt2img == "txt2img_lora" and "max_attempts" not in file.read_text()
        await page.get_by_label("Requests of one caller").fill("777")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("status").filter(has_text="after a restart").wait_for()
        await somebody.check()

        await page.locator("main nav").get_by_role("link", name="Doctor").click()
        await page.get_by_text("It works, with notes.").wait_for()
        findings = page.locator(".finding")
        for told in ("This process hands out the jobs.", "The job database opens.", "procedural previews", "are free."):
            await findings.filter(has_text=told).wait_for()
        assert await findings.count() > 10
        await somebody.check()

        await page.locator("main nav").get_by_role("link", name="API").click()
        await page.locator("summary", has_text="/api/v1/jobs").filter(has_text="POST").click()
        await page.get_by_role("button", name="Copy POST /api/v1/jobs").click()
        command = await page.evaluate("navigator.clipboard.readText()")
        assert command.startswith("curl -X POST") and '"template"' in command
        await somebody.check()
