"""The servers that the nodes ask: what names of servers and models mean, servers that come later, unloading, keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web

from comfy_nodes.routes import register
from comfy_nodes.servers import Servers, the_servers
from comfy_nodes.thread import handed_over
from comfy_nodes.values import Provider
from llm_bridge.errors import BadInput, BridgeError, ServerUnavailable, UnknownModel
from llm_bridge.scan import scan
from tests.bridge.boxes import Box, boxes, until
from tests.bridge.servers import Answer, Received, Script, json_answer
from tests.llama.servers import LlamaServer
from tests.nodes.calling import Page
from tests.nodes.conftest import SetUp
from tests.nodes.generating import generated
from tests.texts import CHAT, text_server

ANY = Provider()
KEY = "sk-very-secret-4711"

T = TypeVar("T")


async def there(work: Callable[[Servers], Awaitable[T]]) -> T:
    """What the servers of the nodes say to ``work``, where nodes ask them."""

    async def asked() -> T:
        return await work(await the_servers())

    return await handed_over(asked())


async def resolved(*patterns: str, provider: Provider = ANY) -> tuple[str, ...]:
    return await there(lambda servers: servers.resolve(provider, patterns))


async def unloaded(provider: Provider = ANY, model: str | None = None) -> list[str]:
    return await there(lambda servers: servers.unload(provider, model))


async def test_names_patterns_and_auto_mean_models_each_once_in_their_order(set_up: SetUp) -> None:
    async with text_server(("Qwen3-8B", "qwen2-1b", "gemma")) as one, text_server(("gemma", "vendor/Qwen-Max")) as two:
        set_up(one.url, two.url)
        assert await resolved("qwen2-1b", "llm/qwen2-1b") == ("llm/qwen2-1b",)
        assert await resolved("llm/QWEN*") == ("llm/Qwen3-8B", "llm/qwen2-1b")
        assert await resolved("llm-2/*", "llm/gemma") == ("llm-2/gemma", "llm-2/vendor/Qwen-Max", "llm/gemma")
        assert await resolved("*qwen-max") == ("llm-2/vendor/Qwen-Max",)
        assert len(await resolved("*")) == 5
        assert await resolved("*", provider=Provider("llm-2")) == ("llm-2/gemma", "llm-2/vendor/Qwen-Max")
        assert await resolved("auto", provider=Provider("llm-2")) == ("llm-2/gemma",)
        assert await resolved("gem[am]a", "gemm?", "gemma", provider=Provider("llm")) == ("llm/gemma",)


async def test_what_no_server_has_is_said_with_what_there_is(set_up: SetUp) -> None:
    async with text_server(("alpha", "beta")) as script:
        set_up(script.url, "http://127.0.0.1:9")
        with pytest.raises(UnknownModel, match=r"No model fits 'qwen\*'.*llm/alpha, llm/beta.*llm-2 does not answer"):
            await resolved("qwen*")
        with pytest.raises(UnknownModel, match=r"alpa.*alpha"):
            await resolved("alpa")
        with pytest.raises(BadInput, match="auto:clever means nothing"):
            await resolved("auto:clever")


async def test_the_provider_decides_between_two_servers_that_have_the_model(set_up: SetUp) -> None:
    async with text_server() as one, text_server() as two:
        set_up(one.url, two.url)
        await generated(model="alpha", provider=Provider("llm-2"))
        assert (len(one.bodies(CHAT)), len(two.bodies(CHAT))) == (0, 1)
        await generated(model="llm/alpha")
        assert (len(one.bodies(CHAT)), len(two.bodies(CHAT))) == (1, 1)
        with pytest.raises(BadInput, match=r"no LLM server called 'ollama'.*llm, llm-2"):
            await generated(model="alpha", provider=Provider("ollama"))


def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *servers: str) -> None:
    file = tmp_path / "llm_servers.toml"
    file.write_text("".join(f"[[llm_servers]]\n{server}\n" for server in servers))
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(file))


async def test_a_missing_key_fails_its_own_server_only_and_says_which(
    set_up: SetUp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with text_server() as script:
        one = f'name = "one"\nurl = "{script.url}"\nkey_env = "NO_SUCH_KEY"'
        settings(monkeypatch, tmp_path, one, f'name = "two"\nurl = "{script.url}"')
        assert (await generated(model="alpha"))[0] == "alpha on Hello."
        with pytest.raises(BadInput, match=r"The key of one is missing.*NO_SUCH_KEY"):
            await generated(model="alpha", provider=Provider("one"))
        listed = await there(lambda servers: servers.listed(ANY))
    assert isinstance(listed["one"], BadInput) and not isinstance(listed["two"], BridgeError)


async def test_settings_that_were_wrong_are_read_again_once_they_are_mended(
    set_up: SetUp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with text_server() as script:
        settings(monkeypatch, tmp_path, 'name = "one"')
        with pytest.raises(BadInput, match=r"llm_servers\.toml cannot be used"):
            await generated(model="alpha")
        settings(monkeypatch, tmp_path, f'name = "one"\nurl = "{script.url}"')
        assert (await generated(model="alpha"))[0] == "alpha on Hello."


async def test_a_key_is_in_nothing_that_leaves_the_nodes(
    set_up: SetUp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def echoed(status: int, received: Received) -> Answer:
        return json_answer({"error": {"message": f"bad header {received.headers['authorization']}"}}, status)

    async with text_server() as script:
        monkeypatch.setenv("ONE_KEY", KEY)
        settings(monkeypatch, tmp_path, f'name = "one"\nurl = "{script.url}"\nkey_env = "ONE_KEY"')
        said = [repr(await generated(model="alpha")), repr(await resolved("*")), repr(Provider("one"))]
        assert script.received[-1].headers["authorization"] == f"Bearer {KEY}"
        for status in (400, 401, 500):
            script.on(CHAT, partial(echoed, status))
            with pytest.raises(BridgeError, match=r"bad header Bearer \[key\]") as failure:
                await generated(model="alpha")
            said.append(repr(failure.value) + str(failure.value))
        script.on("GET /v1/models", partial(echoed, 500))
        register(table := web.RouteTableDef())
        (models,) = [route.handler for route in table if isinstance(route, web.RouteDef) and "models" in route.path]
        answer: Any = await models(None)  # pyright: ignore[reportArgumentType]
        listed = await there(lambda servers: servers.listed(ANY, fresh=0))
        assert isinstance(listed["one"], BridgeError)
        said += [answer.text, repr(listed), str(listed["one"])]
    assert not [each for each in said if KEY in each]


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], None]:
    """Servers are looked for where this one listens, instead of at the ports of real ones; and rather often."""

    def look(script: Script) -> None:
        monkeypatch.setattr("comfy_nodes.servers.scan", partial(scan, [int(script.url.rpartition(":")[2])]))
        monkeypatch.setattr("comfy_nodes.servers._LISTED_SECONDS", 0.05)
        monkeypatch.setattr("comfy_nodes.servers._SCAN_SECONDS", 0.05)

    return look


async def test_a_server_that_starts_later_is_found(set_up: SetUp, looked_for: Callable[[Script], None]) -> None:
    box = Box("box", ("alpha",))
    async with boxes(box):
        looked_for(box)
    with pytest.raises(ServerUnavailable, match=r"No LLM server was found.*WORKBENCH_LLM_URL"):
        await resolved("*")
    with pytest.raises(ServerUnavailable):
        await generated(model="alpha")
    await asyncio.sleep(0.06)
    async with boxes(box):
        assert (await generated(model="alpha"))[0] == "Hi"
        (name,) = await resolved("*")
        found = Provider(name.partition("/")[0])
        for _ in range(3):
            await asyncio.sleep(0.06)
            assert (await generated(model="alpha", provider=found))[0] == "Hi"


async def test_many_who_ask_first_look_once(set_up: SetUp, looked_for: Callable[[Script], None]) -> None:
    async with text_server() as script:
        looked_for(script)
        texts = await asyncio.gather(*(generated(model="alpha") for _ in range(5)))
    assert [text[0] for text in texts] == ["alpha on Hello."] * 5
    # One look to find it, and another one of the queue's own.
    assert sum(each.path == "/v1/models" for each in script.received) < 10


async def test_what_is_loaded_in_a_server_that_nobody_asked_yet_is_unloaded(
    set_up: SetUp, looked_for: Callable[[Script], None]
) -> None:
    box = Box("box", ("alpha",))
    async with boxes(box):
        looked_for(box)
        box.loaded = ["alpha"]
        (gone,) = await unloaded()
    assert gone.endswith("/alpha") and box.loaded == []


async def test_models_are_unloaded_by_name_by_server_or_all(set_up: SetUp) -> None:
    one, two = Box("one", ("alpha", "beta")), Box("two", ("alpha",))
    async with boxes(one, two):
        set_up(one.url, two.url)
        one.loaded, two.loaded = ["alpha", "beta"], ["alpha"]
        assert await unloaded(Provider("llm-2"), "beta") == []
        assert await unloaded(model="llm/alpha") == ["llm/alpha"]
        assert (one.loaded, two.loaded) == (["beta"], ["alpha"])
        assert await unloaded(Provider("llm-2")) == ["llm-2/alpha"]
        assert await unloaded() == ["llm/beta"]
        with pytest.raises(BadInput, match="no LLM server called 'three'"):
            await unloaded(Provider("three"))


async def test_a_model_that_others_wait_for_is_not_let_go_of(
    set_up: SetUp, page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    box = Box("box", ("alpha", "beta"), max_loaded=None)
    async with boxes(box):
        settings(monkeypatch, tmp_path, f'name = "box"\nurl = "{box.url}"\nmax_loaded = 0')
        box.loaded = ["alpha", "beta"]
        box.gate.clear()
        one = asyncio.create_task(generated("wait", model="beta"))
        await until(lambda: box.running.total() == 1)
        other = asyncio.create_task(generated(model="alpha"))
        await until(lambda: any(text.startswith("Waiting: this one is next") for text in page.texts))
        assert await there(lambda servers: servers.let_go("box/alpha")) == []
        box.gate.set()
        await asyncio.gather(one, other)
        assert await there(lambda servers: servers.let_go("box/alpha")) == ["box/alpha"]
    assert box.loaded == ["beta"]


async def test_a_real_server_lets_go_of_its_model(set_up: SetUp, llama_router: LlamaServer) -> None:
    set_up(llama_router.url)
    await generated(model="tiny-a", max_tokens=2)
    assert await unloaded(model="tiny-a") == ["llm/tiny-a"]
    await until(lambda: not llama_router.instances())
