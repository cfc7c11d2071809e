"""Who comes by a link from a chat: for how long, for what, and never in the place of somebody who is in already."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.redaction import redacting
from tests.page.conftest import At
from tests.page.test_form_links import TOKEN, form_link
from tests.workbenches import served

ADMIN = {"Authorization": f"Bearer {TOKEN}"}


async def made(http: httpx.AsyncClient, name: str) -> dict[str, str]:
    """The headers of a new token."""
    own = {"Origin": str(http.base_url).rstrip("/")}
    told = await http.post("/settings/tokens", data={"name": name, "right_make": "on"}, headers={**ADMIN, **own})
    http.cookies.clear()
    token = re.findall(r"wb_[\w-]{20,}", told.text)[0]
    return {"Authorization": f"Bearer {token}"}


def browser_of(http: httpx.AsyncClient) -> httpx.AsyncClient:
    base = str(http.base_url).rstrip("/")
    return httpx.AsyncClient(base_url=base, headers={"Sec-Fetch-Site": "same-origin"}, trust_env=False)


async def test_a_link_ends_with_the_token_of_the_chat_that_got_it(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN) as http, browser_of(http) as browser:
        link = await form_link(http, await made(http, "eve"))
        assert (await browser.get(link)).status_code == 303
        assert (await browser.get("/api/v1/jobs")).status_code == 200
        own = {"Origin": str(http.base_url).rstrip("/")}
        revoked = await http.post("/settings/tokens/eve/revoke", headers={**ADMIN, **own})
        assert revoked.status_code in (200, 303)
        assert (await browser.get("/api/v1/jobs")).status_code == 401
        assert (await browser.get(link)).status_code == 400


@pytest.mark.parametrize("path", ["/mcp", "/v1/images/generations", "/sdapi/v1/txt2img", "/comfyui/prompt"])
async def test_a_cookie_is_good_for_the_page_and_not_for_what_programs_speak(
    tmp_path: Path, embedded_url: str, path: str
) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN, comfyui_routes=True) as http, browser_of(http) as browser:
        await browser.get(await form_link(http, ADMIN))
        answer = await browser.post(path, json={})
        assert answer.status_code == 401


async def test_a_link_takes_nobodys_place_without_a_word(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN) as http, person(http.base_url) as somebody:
        page = somebody.page
        somebody.expected = ["403"]
        link = await form_link(http, await made(http, "eve"))
        await somebody.go("/sign-in")
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/tools")
        await page.goto(link)
        await somebody.check()
        await page.get_by_role("link", name="Stay").click()
        assert (await page.goto(f"{somebody.url}/settings/tokens")).status == 200  # pyright: ignore
        await page.goto(link)
        await page.get_by_role("button", name="Go on as eve").click()
        await page.wait_for_url("**/tools/txt2img?job=*")
        assert (await page.goto(f"{somebody.url}/settings/tokens")).status == 403  # pyright: ignore


async def test_the_cookie_is_for_https_alone_where_that_is_spoken(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN, allowed_hosts=["wb.example"]) as http:
        for scheme, secure in (("https", True), ("http", False)):
            headers = {"Host": "wb.example", "Origin": f"{scheme}://wb.example"}
            answer = await http.post("/sign-in", data={"token": TOKEN}, headers=headers)
            assert ("Secure" in answer.headers["set-cookie"]) is secure


def test_no_link_stands_in_a_log() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    log: Any = logging.getLogger()
    log.addHandler(handler)
    try:
        with redacting(tuple):
            log.warning(
                "Full size: http://h/a?signature=abc.def\\nChange it in a form: http://h/enter/eyJvd25lciI6.x-y_z"
            )
    finally:
        log.removeHandler(handler)
    assert "abc.def" not in written.getvalue() and "eyJvd25lciI6" not in written.getvalue()
    assert "Change it in a form" in written.getvalue()
