"""The frame of the page: its sections, its languages and colours, who signs in, what stays typed, and what every answer
carries."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from comfy_mcp.proxy.page.rendering import SECTIONS
from tests.page.conftest import At
from tests.workbenches import served

TOKEN = "a-token-of-sixteen"
FIRST_LOAD = 150_000
"""Bytes over the wire for the first page, with all it needs."""


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_section_opens_and_passes_axe(
    tmp_path: Path, embedded_url: str, person: At, phone: bool, dark: bool
) -> None:
    async with (
        served(tmp_path, embedded_url) as http,
        person(http.base_url, phone=phone, dark=dark, chinese=dark) as somebody,
    ):
        await somebody.go("/")
        for section in SECTIONS:
            await somebody.page.locator(f"nav a[href='/{section.path}']").click()
            await somebody.page.wait_for_url(f"**/{section.path}")
            await somebody.check()


async def test_the_first_load_is_small_and_quick(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        await somebody.go("/")
        sizes = await somebody.page.evaluate(
            "performance.getEntries().filter((e) => 'transferSize' in e).map((e) => [e.name, e.transferSize])"
        )
        assert len(sizes) > 4
        assert sum(size for _, size in sizes) < FIRST_LOAD, sizes


async def test_nobody_comes_in_without_their_token_and_somebody_with_it(
    tmp_path: Path, embedded_url: str, person: At
) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN) as http, person(http.base_url) as somebody:
        somebody.expected = ["403"]
        page = somebody.page
        await somebody.go("/queue?of=mine&then=1")
        await page.wait_for_url("**/sign-in?to=/queue*")
        await somebody.check()
        await page.get_by_label("Token").fill("another-token-of-mine")
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text("This token is not known here.").wait_for()
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/queue?of=mine&then=1")
        (cookie,) = [each for each in await page.context.cookies() if each.get("name") == "workbench"]
        assert cookie.get("httpOnly") and TOKEN not in str(cookie.get("value"))
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/sign-in?to=/*")


async def test_a_cookie_lets_no_other_page_change_anything(tmp_path: Path, embedded_url: str) -> None:
    """Pages on other ports of this machine send it as well."""
    async with served(tmp_path, embedded_url, token=TOKEN) as http:
        own = {"Origin": str(http.base_url).rstrip("/")}
        answer = await http.post("/sign-in", data={"token": TOKEN, "to": "//elsewhere.example"}, headers=own)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        body = {"template": "txt2img", "values": {"prompt": "a lake"}}
        assert (await http.get("/api/v1/queue")).status_code == 200
        for headers in ({}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
            assert (await http.post("/api/v1/jobs", json=body, headers=headers)).status_code == 403, headers
        assert (await http.post("/api/v1/jobs", json=body, headers=own)).status_code == 202


async def test_languages_and_colours_are_chosen_and_kept(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        page = somebody.page
        await somebody.go("/tools/txt2img")
        prompt, steps = page.locator("[name=prompt]"), page.locator("[type=number][name=steps]")
        await prompt.fill("a lake at dawn")
        await steps.fill("7")
        async with page.expect_response("**/look"):
            await page.get_by_role("button", name="Dark or light").click()
        assert await page.locator("html").get_attribute("data-theme") == "dark"
        await expect(prompt).to_have_value("a lake at dawn")
        await page.get_by_role("button", name="中文").click()
        await page.locator("html[lang=zh-CN][data-theme=dark]").wait_for()
        await expect(prompt).to_have_value("a lake at dawn")
        await expect(steps).to_have_value("7")
        await somebody.go("/queue")
        await page.get_by_role("button", name="English").click()
        await page.get_by_role("heading", name="Queue").wait_for()
        # Put back once, and not again.
        await somebody.go("/tools/txt2img")
        await expect(prompt).to_have_value("")


async def test_what_was_typed_outlives_signing_in_anew_and_signing_out_reaches_every_tab(
    tmp_path: Path, embedded_url: str, person: At
) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN) as http, person(http.base_url) as somebody:
        somebody.expected = ["401"]
        page = somebody.page

        async def sign_in() -> None:
            await page.get_by_label("Token").fill(TOKEN)
            await page.get_by_role("button", name="Sign in").click()

        await somebody.go("/tools/txt2img")
        await sign_in()
        await page.locator("[name=prompt]").fill("a lake at dawn")
        await page.context.clear_cookies()
        await page.locator("#run").click()
        await page.wait_for_url("**/sign-in?to=/tools/txt2img*")
        await sign_in()
        await expect(page.locator("[name=prompt]")).to_have_value("a lake at dawn")

        other = await page.context.new_page()
        await other.goto(somebody.url + "/queue")
        await other.get_by_role("button", name="Sign out").click()
        await other.wait_for_url("**/sign-in?to=/*")
        await page.wait_for_url("**/sign-in?to=/tools/txt2img*")


async def test_a_refused_clipboard_is_told(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        page = somebody.page
        await somebody.go("/settings/clients")
        await page.evaluate(
            "navigator.clipboard.writeText = () => Promise.reject(new Error()); document.execCommand = () => false;"
        )
        await page.locator("[data-copy=address]").click()
        await expect(page.locator("[data-copy=address]")).to_have_text("Press Ctrl+C")
        chosen = "document.activeElement.selectionEnd || getSelection().toString().length"
        assert await page.evaluate(chosen) > 0


async def test_pages_carry_a_policy_without_exceptions(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        for section in SECTIONS:
            answer = await http.get(f"/{section.path}")
            policy = answer.headers["content-security-policy"]
            assert answer.status_code == 200 and "default-src 'none'" in policy, section
            assert "unsafe" not in policy and "*" not in policy
            assert " style=" not in answer.text and "<style" not in answer.text and " onclick=" not in answer.text


async def test_refusals_are_told_as_pages_to_people_and_as_pieces_to_the_page(
    tmp_path: Path, embedded_url: str
) -> None:
    async with served(tmp_path, embedded_url) as http:
        whole = await http.get("/enter/nothing")
        assert whole.status_code == 400 and "<!doctype html>" in whole.text and "no longer good" in whole.text
        piece = await http.get("/enter/nothing", headers={"HX-Request": "true"})
        assert piece.status_code == 400 and piece.text.startswith("<div") and "no longer good" in piece.text
