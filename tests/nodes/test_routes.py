"""The routes of the pack, behind servers as ComfyUI and the embedded engine have: models, ballots, votes, refusals."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from aiohttp import web
from starlette.applications import Starlette
from starlette.routing import Route

from comfy_mcp.embedded.pack_routes import RouteTable
from comfy_nodes.nodes.compare import LLMCompare
from comfy_nodes.routes import register
from comfy_nodes.values import Compared, Models, Prompts
from llm_bridge.compare import Prompt
from tests.nodes import comparisons
from tests.nodes.conftest import SetUp
from tests.texts import text_server

MODELS, BALLOTS = "/comfyui-workbench/models", "/comfyui-workbench/ballots"
NO_RUN = "0" * 32
AS_JSON = {"Content-Type": "application/json; charset=utf-8"}


@asynccontextmanager
async def in_comfyui() -> AsyncGenerator[str]:
    register(table := web.RouteTableDef())
    app = web.Application()
    app.add_routes(table)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


@asynccontextmanager
async def in_the_embedded_engine() -> AsyncGenerator[str]:
    register(table := RouteTable())
    app = Starlette(routes=[Route(path, serve, methods=[method]) for path, method, serve in table.listed()])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.fixture(params=[in_comfyui, in_the_embedded_engine], ids=lambda place: place.__name__)
async def routes(set_up: SetUp, request: pytest.FixtureRequest) -> AsyncGenerator[httpx.AsyncClient]:
    """The routes on a port of their own, and who asks them."""
    async with request.param() as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
        yield client


async def compared() -> Compared:
    prompts = Prompts((Prompt("first", "Say one."), Prompt("second", "Say two.")))
    models = Models(("llm/alpha", "llm/beta"))
    return (await LLMCompare().compare(models=models, prompts=prompts))["result"][0]


def refused(answer: httpx.Response) -> str:
    """The message of a refusal, which says what to do, too."""
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["message"] and error["hint"]
    return error["message"]


async def test_models_are_listed_by_server_with_why_one_cannot_be_asked(
    set_up: SetUp, routes: httpx.AsyncClient
) -> None:
    async with text_server() as script:
        set_up(script.url, "http://127.0.0.1:9")
        answer = await routes.get(MODELS)
    one, two = answer.json()["servers"]
    assert (one["name"], one["problem"]) == ("llm", "")
    assert [model["name"] for model in one["models"]] == ["llm/alpha", "llm/beta"]
    assert one["models"][0].keys() >= {"id", "name", "state", "size", "context", "vision", "tools", "reasoning"}
    assert (two["name"], two["models"]) == ("llm-2", []) and "does not answer" in two["problem"]


async def test_settings_that_cannot_be_used_are_told_to_the_page(
    routes: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "wrong.toml").write_text("llm_servers = 3")
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(tmp_path / "wrong.toml"))
    told = refused(await routes.get(MODELS))
    assert "wrong.toml cannot be used" in told and str(tmp_path) not in told


async def test_who_has_voted_on_everything_sees_who_leads(set_up: SetUp, routes: httpx.AsyncClient) -> None:
    async with text_server() as script:
        set_up(script.url)
        run = (await compared()).run
    asked = {"run": run, "voter": "me"}
    for left in (2, 1):
        told = (await routes.get(BALLOTS, params=asked)).json()
        assert (told["total"], told["left"], len(told["ballots"]), told["ranking"]) == (2, left, left, [])
        first = told["ballots"][0]
        best = next(each["label"] for each in first["choices"] if each["text"].startswith("beta"))
        said = await routes.post(BALLOTS, json=asked | {"ballot": first["id"], "best": best})
        assert said.json()["models"][best] == "llm/beta"
    told = (await routes.get(BALLOTS, params=asked)).json()
    assert (told["total"], told["left"], told["ballots"]) == (2, 0, [])
    assert [each["model"] for each in told["ranking"]] == ["llm/beta", "llm/alpha"]
    assert (await routes.get(BALLOTS, params={"run": run, "voter": "you"})).json()["ranking"] == []


async def test_a_ballot_does_not_say_which_model_wrote_what(set_up: SetUp, routes: httpx.AsyncClient) -> None:
    async with text_server() as script:
        set_up(script.url)
        told = (await routes.get(BALLOTS, params={"run": (await compared()).run, "voter": "me"})).json()
    for ballot in told["ballots"]:
        assert all(choice.keys() == {"label", "text"} for choice in ballot["choices"])
        assert "llm/" not in str(ballot)


async def test_of_many_ballots_a_few_are_told_and_then_those_after_them(
    set_up: SetUp, routes: httpx.AsyncClient
) -> None:
    prompts = [Prompt(f"prompt {number}", f"Say {number}.") for number in range(1, 13)]
    texts = ["x" * 40_000, *["short"] * 11]
    asked = {"run": (await comparisons.compared({"a": texts, "b": texts}, prompts)).run, "voter": "me"}

    async def numbers(after: str) -> list[int]:
        told = (await routes.get(BALLOTS, params=asked | {"after": after})).json()
        assert told["total"] == 12
        return [ballot["number"] for ballot in told["ballots"]]

    assert [await numbers(after) for after in ("0", "5", "10", "12")] == [
        [1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [11, 12],
        [],
    ]
    assert [await numbers(after) for after in ("", "x", "-3", "1" * 5000)] == [[1, 2, 3, 4, 5]] * 4
    first = (await routes.get(BALLOTS, params=asked)).json()["ballots"][0]
    assert all(choice["text"].endswith("x … (20,000 more characters)") for choice in first["choices"])
    assert all(len(choice["text"]) < 20_100 for choice in first["choices"])
    await routes.post(BALLOTS, json=asked | {"ballot": first["id"], "best": "A"})
    assert await numbers("0") == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "run", [NO_RUN, "", "..", "../" * 8 + "etc", "%2e%2e", "A" * 32, NO_RUN + "\n", "0" * 31 + "/"]
)
async def test_a_run_that_is_not_there_or_no_id_is_refused(routes: httpx.AsyncClient, tmp_path: Path, run: str) -> None:
    (tmp_path / ".cache" / "comfyui-workbench" / "comparisons").mkdir(parents=True)
    assert "not there any more" in refused(await routes.get(BALLOTS, params={"run": run, "voter": "me"}))
    vote = {"run": run, "voter": "me", "ballot": "b", "best": "A"}
    assert "not there any more" in refused(await routes.post(BALLOTS, json=vote))


@pytest.mark.parametrize("voter", ["", "   ", "x" * 5000])
async def test_a_voter_needs_a_name(set_up: SetUp, routes: httpx.AsyncClient, voter: str) -> None:
    async with text_server() as script:
        set_up(script.url)
        run = (await compared()).run
    assert "name of the voter" in refused(await routes.get(BALLOTS, params={"run": run, "voter": voter}))


@pytest.mark.parametrize("run_of", [{"ballot": "no such"}, {"best": "Z"}])
async def test_a_vote_on_what_is_not_there_is_refused(
    set_up: SetUp, routes: httpx.AsyncClient, run_of: dict[str, Any]
) -> None:
    async with text_server() as script:
        set_up(script.url)
        asked = {"run": (await compared()).run, "voter": "me"}
    ballot, _ = (await routes.get(BALLOTS, params=asked)).json()["ballots"]
    refused(await routes.post(BALLOTS, json=asked | {"ballot": ballot["id"], "best": "A"} | run_of))
    assert (await routes.get(BALLOTS, params=asked)).json()["left"] == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 9000,
        b'{"run": 1, "voter": "a", "ballot": "b", "best": 2}',
    ],
    ids=lambda body: repr(body[:12]),
)
async def test_what_is_no_vote_is_refused(routes: httpx.AsyncClient, body: bytes) -> None:
    assert "no vote" in refused(await routes.post(BALLOTS, content=body, headers=AS_JSON))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
async def test_another_web_page_cannot_vote_with_a_form(
    set_up: SetUp, routes: httpx.AsyncClient, kind: str | None
) -> None:
    asked = {"run": (await comparisons.compared({"a": ["x"] * 2, "b": ["y"] * 2})).run, "voter": "me"}
    ballot, _ = (await routes.get(BALLOTS, params=asked)).json()["ballots"]
    vote = json.dumps(asked | {"ballot": ballot["id"], "best": "A"})
    headers = {"Origin": "https://elsewhere.example"} | ({"Content-Type": kind} if kind else {})
    assert "no vote" in refused(await routes.post(BALLOTS, content=vote, headers=headers))
    assert (await routes.get(BALLOTS, params=asked)).json()["left"] == 2
    assert (await routes.post(BALLOTS, content=vote, headers=AS_JSON)).is_success
    assert (await routes.get(BALLOTS, params=asked)).json()["left"] == 1


async def test_a_body_that_is_too_large_for_a_vote_is_not_read(routes: httpx.AsyncClient) -> None:
    vote = json.dumps({"run": NO_RUN, "voter": "me", "ballot": "b", "best": "A"}).encode()

    async def in_chunks(many: int) -> AsyncIterator[bytes]:
        """Without a length in the head."""
        yield vote
        for _ in range(many):
            yield b" " * 1_000

    async def told(content: bytes | AsyncIterator[bytes]) -> str:
        return refused(await routes.post(BALLOTS, content=content, headers=AS_JSON))

    assert "not there any more" in await told(vote + b" " * 5_000)
    assert "no vote" in await told(vote + b" " * 20_000)
    assert "not there any more" in await told(in_chunks(5))
    assert "no vote" in await told(in_chunks(20))


async def test_a_damaged_run_is_told_and_is_no_failure_of_the_server(
    set_up: SetUp, routes: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with text_server() as script:
        set_up(script.url)
        run = (await compared()).run
    folder = next(tmp_path.rglob(run))
    (folder / "salt").unlink()
    refused(await routes.get(BALLOTS, params={"run": run, "voter": "me"}))
    (folder / "comparison.json").write_text("{")
    assert str(tmp_path) not in refused(await routes.get(BALLOTS, params={"run": run, "voter": "me"}))
