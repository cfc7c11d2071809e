"""Secrets of servers: which variables a page may name, what is sent where, and that nobody's change is lost."""

from __future__ import annotations

from asyncio import gather
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from comfy_mcp.proxy import listening
from comfy_mcp.settings import load_settings
from comfy_mcp.workbench import Workbench
from tests.bridge.servers import Script, json_answer, scripted
from tests.texts import text_server

KEY = "key-of-the-studio"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


@asynccontextmanager
async def as_the_file_says(tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    settings = load_settings(data=tmp_path / "data", port=0)
    async with (
        Workbench.open(settings, dispatch=False) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(
            base_url=address, trust_env=False, timeout=30, headers={"Origin": address, "HX-Request": "true"}
        ) as http,
    ):
        yield http


def keys_sent(script: Script) -> list[str]:
    return [each.headers.get("authorization", "") for each in script.received]


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "AWS_API_KEY", "WORKBENCH_TOKEN", "WORKBENCH_API_KEY", "HOME"]
)
async def test_a_page_names_no_variable_that_is_no_key_of_a_server(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file.write_text('comfyui_url = "http://127.0.0.1:9"\n[[llm_servers]]\nname = "old"\nurl = "http://127.0.0.1:9"\n')
    async with as_the_file_says(tmp_path) as http, text_server() as script:
        # Only now: some of these are settings.
        monkeypatch.setenv(name, "a-secret-of-this-machine")
        fields = {"is_llm": "yes", "name": "new", "url": script.url, "key_env": name}
        for path in ("backends/check", "backends", "backends/old/change"):
            answer = await http.post(f"/settings/{path}", data=fields)
            assert (answer.status_code, "_API_KEY" in answer.text) == (422, True), path
        assert not script.received
    assert name not in file.read_text()


async def test_a_key_goes_only_to_what_is_an_llm_server_or_asks_for_it(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that the file names already may have any name."""
    monkeypatch.setenv("STUDIO", KEY)
    monkeypatch.setenv("LLM_KEY_STUDIO", KEY)
    file.write_text('[[llm_servers]]\nname = "old"\nurl = "http://127.0.0.1:9"\nkey_env = "STUDIO"\n')
    async with as_the_file_says(tmp_path) as http, scripted() as other, text_server() as script, scripted() as locked:
        locked.on("GET /v1/models", json_answer({"error": {"message": "no key"}}, status=401))
        told = [
            (await http.post("/settings/backends/check", data={"url": each.url, "key_env": name})).text
            for each, name in ((other, "STUDIO"), (script, "LLM_KEY_STUDIO"), (locked, "STUDIO"))
        ]
        assert "no LLM server" in told[0] and not any(keys_sent(other)) and other.received
        assert "2 models" in told[1]
        assert keys_sent(script)[-1] == f"Bearer {KEY}"
        recognised = next(index for index, key in enumerate(keys_sent(script)) if key)
        assert "/v1/models" in [each.path for each in script.received[:recognised]]
        assert f"Bearer {KEY}" in keys_sent(locked)


async def test_another_address_does_not_get_the_secret_of_the_one_before(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO", KEY)
    file.write_text(
        '[[backends]]\nname = "paid"\nurl = "http://127.0.0.1:9"\nauthorization = "Bearer secret"\n'
        '[[llm_servers]]\nname = "llm"\nurl = "http://127.0.0.1:9"\nkey_env = "STUDIO"\n'
    )
    async with as_the_file_says(tmp_path) as http, scripted() as script:
        same = {"url": "http://127.0.0.1:9/below", "key_env": "STUDIO"}
        for name in ("paid", "llm"):
            answer = await http.post(f"/settings/backends/{name}/change", data=same)
            assert answer.status_code == 200 and "another address" not in answer.text
        assert load_settings().backends[0].authorization and load_settings().llm_servers[0].key_env == "STUDIO"
        for name in ("paid", "llm"):
            answer = await http.post(f"/settings/backends/{name}/change", data={"url": script.url, "key_env": "STUDIO"})
            assert answer.status_code == 200 and "another address" in answer.text
            await http.get(f"/settings/backends/{name}/facts")
        assert script.received and not any(keys_sent(script))
        assert load_settings().backends[0].authorization is None and load_settings().llm_servers[0].key_env is None


async def test_servers_that_are_added_at_one_time_are_all_there(tmp_path: Path, file: Path) -> None:
    file.write_text('comfyui_url = "http://127.0.0.1:9"\n')
    async with as_the_file_says(tmp_path) as http:
        names = [f"server-{number}" for number in range(6)]
        answers = await gather(
            *(
                http.post("/settings/backends", data={"is_llm": "yes", "name": name, "url": f"http://{name}:1"})
                for name in names
            )
        )
        assert [answer.status_code for answer in answers] == [200] * len(names)
    assert sorted(each.name for each in load_settings().llm_servers) == names


@pytest.mark.parametrize(
    "url", ["http://me:word@127.0.0.1:9/", "http://127.0.0.1:9/?a=b#c", "http://127.0.0.1:0", "http://a..b:1"]
)
@pytest.mark.parametrize("llm", ["yes", "no"])
async def test_an_address_that_cannot_be_used_does_not_get_into_the_file(
    tmp_path: Path, file: Path, url: str, llm: str
) -> None:
    async with as_the_file_says(tmp_path) as http:
        answer = await http.post("/settings/backends", data={"is_llm": llm, "name": "x", "url": url})
        assert (answer.status_code, "word@" in answer.text) == (422, False) and "authorization" in answer.text
        assert not file.exists()
        good = {"is_llm": llm, "name": "x", "url": "http://127.0.0.1:9"}
        assert (await http.post("/settings/backends", data=good)).status_code == 200
