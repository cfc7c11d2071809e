"""What of the settings is refused to whom, and what cannot be: told as a page, and never a failure of ours."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.callers import Right
from comfy_mcp.proxy import listening
from comfy_mcp.settings import load_settings
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.texts import text_server
from tests.workbenches import served, settings_for

SECRET = "Bearer secret-of-the-studio"
ADMINISTRATORS = ("/settings/tokens", "/settings/options", "/settings/doctor", "/settings/doctor/events")
READABLE = ("/settings", "/settings/backends", "/settings/backends/studio/facts", "/settings/clients", "/settings/api")
CHANGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/settings/backends", {"name": "mine", "url": "http://127.0.0.1:9"}),
    ("/settings/backends/check", {"url": "http://127.0.0.1:9"}),
    ("/settings/backends/scan", {"host": "127.0.0.1"}),
    ("/settings/backends/studio/change", {"url": "http://127.0.0.1:9"}),
    ("/settings/backends/studio/remove", {}),
    ("/settings/tokens", {"name": "mine", "right_admin": "yes"}),
    ("/settings/tokens/maker/revoke", {}),
    ("/settings/options", {"wait": "3"}),
)


REFUSALS: tuple[tuple[str, dict[str, str], int, str], ...] = (
    ("backends", {"name": "No Name", "url": "http://a:1"}, 422, "name cannot be used"),
    ("backends", {"name": "a", "url": "file:///etc"}, 422, "url cannot be used"),
    ("backends", {"name": "a", "url": "http://a:1", "concurrency": "many"}, 422, "concurrency cannot be used"),
    ("backends", {"name": "studio", "url": "http://a:1"}, 422, "already"),
    ("backends", {"name": "other", "url": "http://127.0.0.1:9/"}, 422, "already"),
    ("backends", {"is_llm": "yes", "name": "a", "url": "http://a:1", "kind": "oracle"}, 422, "kind cannot be used"),
    ("backends", {"is_llm": "yes", "name": "a", "url": "http://a:1", "cost": "1e999.0"}, 422, "cost"),
    ("backends", {"name": "a"}, 422, "url cannot be used"),
    ("backends/check", {"url": "gopher://a"}, 422, "no address"),
    ("backends/check", {"url": "http://user:password@a:1"}, 422, "no address"),
    ("backends/check", {"url": "http://127.0.0.1:9"}, 200, "Add it all the same"),
    ("backends/check", {"url": "http://127.0.0.1:9", "key_env": "NOT_SET_API_KEY"}, 200, "NOT_SET_API_KEY"),
    ("backends/scan", {"host": "a b/c?d"}, 422, "no name of a machine"),
    ("backends/nothing/change", {"url": "http://a:1"}, 404, "no server"),
    ("backends/nothing/remove", {}, 404, "no server"),
    ("backends/studio/remove", {}, 409, "given when the workbench was started"),
    ("tokens", {"name": "a b", "right_make": "yes"}, 422, "no name for a token"),
    ("tokens", {"name": "maker", "right_make": "yes"}, 422, "There is a token"),
    ("tokens", {"name": "a"}, 422, "without any right"),
    ("tokens", {"name": "a", "right_make": "yes", "rate": "-1"}, 422, "rate is no number"),
    ("tokens", {"name": "a", "right_make": "yes", "waiting": "0"}, 422, "waiting is no number"),
    ("tokens/nobody/revoke", {}, 404, "no token"),
    ("options", {"wait": "soon"}, 422, "no number"),
    ("options", {"wait": "99999"}, 422, "wait"),
    ("options", {"max_queue": "1.5"}, 422, "no number"),
    ("options", {"max_queue": "9" * 26}, 422, "less than or equal to 1000000"),
    ("options", {"max_queue": "9" * 5000}, 422, "no number"),
    ("options", {"max_queue_per_owner": "1e400"}, 422, "no number"),
    ("options", {"job_timeout": "1e308"}, 422, "less than or equal to 10000000"),
    ("options", {"rate": "nan"}, 422, "no number"),
    ("options", {"rate": "119"}, 422, "keep everybody out"),
    ("options", {"public_url": "nowhere"}, 422, "public_url"),
    ("options", {"inline_images": "sometimes"}, 422, "inline_images"),
    ("options", {"a1111.txt2img": "sketch"}, 422, "no template"),
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


@asynccontextmanager
async def with_tokens(tmp_path: Path, url: str) -> AsyncGenerator[tuple[httpx.AsyncClient, str, str]]:
    """A client, and the tokens of who may make and of who may do everything."""
    settings = settings_for(
        tmp_path / "data",
        url,
        backends=[{"name": "studio", "url": "http://127.0.0.1:9", "authorization": SECRET, "tags": ["big"]}],
    )
    async with (
        Workbench.open(settings, dispatch=False) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as http,
    ):
        maker = await workbench.tokens.add(Token("maker"))
        admin = await workbench.tokens.add(Token("admin", rights=frozenset({Right.MAKE, Right.ADMIN})))
        yield http, maker, admin


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


async def test_who_may_only_make_changes_nothing_and_sees_no_addresses_or_secrets(
    tmp_path: Path, file: Path, embedded_url: str
) -> None:
    async with with_tokens(tmp_path, embedded_url) as (http, maker, admin):
        for path, fields in CHANGES:
            answer = await http.post(path, data=fields, headers=bearer(maker))
            assert answer.status_code == 403, path
        for path in ADMINISTRATORS:
            assert (await http.get(path, headers=bearer(maker))).status_code == 403, path
        for path in READABLE:
            answer = await http.get(path, headers=bearer(maker))
            assert answer.status_code == 200, path
            assert embedded_url not in answer.text and "127.0.0.1:9" not in answer.text, path
            assert str(tmp_path) not in answer.text and sys.prefix not in answer.text, path
        for path in (*READABLE, *ADMINISTRATORS[:3], "/settings/doctor?whole=yes"):
            answer = await http.get(path, headers=bearer(admin))
            assert answer.status_code == 200 and "secret-of-the-studio" not in answer.text, path
            assert maker not in answer.text and admin not in answer.text
        assert not file.exists()


async def test_what_cannot_be_is_refused_in_words(tmp_path: Path, file: Path, embedded_url: str) -> None:
    async with with_tokens(tmp_path, embedded_url) as (http, _, admin):
        headers = bearer(admin, **{"HX-Request": "true"})
        for path, fields, status, told in REFUSALS:
            answer = await http.post(f"/settings/{path}", data=fields, headers=headers)
            assert (answer.status_code, told in answer.text) == (status, True), (path, fields, answer.text)
        for path in ("backends", "backends/check", "backends/scan", "tokens", "options"):
            assert (await http.post(f"/settings/{path}", json={}, headers=headers)).status_code == 415, path
        assert not file.exists()


async def test_a_server_beside_the_usual_address_does_not_take_its_place(
    tmp_path: Path, file: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who set no address has one that is asked all the same; while it answers, another is added beside it."""
    file.write_text(f'comfyui_url = "{embedded_url}"\n')
    async with served_by_the_file(tmp_path) as http, text_server() as script:
        own = {"Origin": str(http.base_url).rstrip("/")}
        server = {"name": "llm", "is_llm": "yes", "url": script.url, "max_loaded": "0"}
        assert (await http.post("/settings/backends", data=server, headers=own)).status_code == 303
        assert "set up as llm" in (await http.post("/settings/backends/check", data=server, headers=own)).text
        changed = {"url": embedded_url, "concurrency": "2", "card": "one"}
        assert (await http.post("/settings/backends/comfyui/change", data=changed, headers=own)).status_code == 303
        settings = load_settings()
        assert "comfyui_url" not in settings.model_fields_set
        assert [(each.name, each.concurrency, each.card) for each in settings.all_backends] == [("comfyui", 2, "one")]
        assert settings.llm_servers[0].max_loaded == 0
        monkeypatch.setenv("WORKBENCH_BACKENDS", "[]")
        answer = await http.post("/settings/backends/comfyui/remove", headers=own)
        assert answer.status_code == 409 and "WORKBENCH_BACKENDS" in answer.text


@asynccontextmanager
async def served_by_the_file(tmp_path: Path) -> AsyncGenerator[Any]:
    settings = load_settings(data=tmp_path / "data", port=0)
    async with (
        Workbench.open(settings, dispatch=False) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as http,
    ):
        yield http


async def test_every_route_is_on_the_page_of_the_api(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, comfyui_routes=True) as http:
        page = (await http.get("/settings/api")).text
        for path in (await http.get("/openapi.json")).json()["paths"]:
            if path.startswith(("/api/v1/", "/v1/")):
                assert f' {path}">' in page, path
