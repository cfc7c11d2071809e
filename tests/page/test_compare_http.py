"""The compare section as it is asked: whose comparisons, what is refused, and that only what has changed is sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx
import pytest

from comfy_mcp.proxy.page.compare.models import size_of
from llm_bridge.providers import Model
from tests.bridge.servers import Answer, Received, Script, chunk, sse, stream
from tests.texts import CHAT, NOWHERE, answered, hanging, says, text_server
from tests.workbenches import served

ANN, BEN = {"x-user-id": "ann"}, {"x-user-id": "ben"}
ASKED = {"model:llm/alpha": "on", "model:llm/beta": "on", "text-1": "the sea", "text-2": "the moon"}


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


@pytest.fixture
async def http(tmp_path: Path, server: Script) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, NOWHERE, llm_url=server.url, forwarded_users=True) as client:
        client.headers.update({"Origin": str(client.base_url).rstrip("/"), **ANN})
        yield client


async def started(http: httpx.AsyncClient, **fields: str) -> str:
    """The address of a comparison that has begun."""
    answer = await http.post("/compare", data={**ASKED, **fields})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def pieces(http: httpx.AsyncClient, address: str) -> list[str]:
    """Everything that is sent to who watches, to the end."""
    told: list[str] = []
    with anyio.fail_after(30):
        async with http.stream("GET", f"{address}/events") as stream:
            async for line in stream.aiter_lines():
                told += [line[6:]] if line.startswith("data: ") else []
    return told


def cells_in(told: list[str]) -> list[int]:
    return [int(number) for line in told for number in re.findall(r'id="cell-(\d+)"', line)]


async def test_nobody_sees_or_changes_what_is_somebody_elses(http: httpx.AsyncClient) -> None:
    address = await started(http)
    await pieces(http, address)
    for path in ("", "/events", "/read", "/vote?voter=ben"):
        assert (await http.get(address + path)).status_code == 200, path
        assert (await http.get(address + path, headers=BEN)).status_code == 404, path
    for path in ("/cancel", "/delete", "/vote"):
        sent = {"voter": "ben", "ballot": "x", "best": "A"}
        assert (await http.post(address + path, data=sent, headers=BEN)).status_code == 404, path
    name = address.rpartition("/")[2]
    assert (await http.get(f"/compare/new?like={name}", headers=BEN)).status_code == 404
    assert name not in (await http.get("/compare", headers=BEN)).text
    assert name in (await http.get("/compare")).text


BAD: list[tuple[dict[str, str], str]] = [
    ({"text-1": "", "text-2": " "}, "There is nothing to ask."),
    ({"model:llm/none": "on"}, "none"),
    ({"temperature": "hot"}, "temperature=hot makes no sense."),
    ({"max_tokens": "0"}, "max_tokens=0 makes no sense."),
    ({"seed": "1;temperature=x"}, "temperature=x makes no sense."),
    ({"temperature": "0", "more": "temperature=1"}, "temperature stands there twice."),
    ({"more": "nonsense=1"}, "There is no parameter"),
    ({"repeats": "1000"}, "is not at most 100"),
    ({"repeats": "x"}, "is not a whole number"),
    ({"checks": "contains"}, "needs a value"),
    ({"judge": "llm/nobody"}, "nobody"),
    ({"many": "{", "form": "jsonl"}, "that is no JSON"),
    ({"name-1": "one", "name-2": "one"}, "have the same name"),
    ({"text-1": "\x00<b>", "name-1": "x" * 300}, "is longer than 256 characters"),
]


async def test_what_cannot_be_compared_is_told_and_the_form_keeps_what_was_typed(http: httpx.AsyncClient) -> None:
    for fields, told in BAD:
        answer = await http.post("/compare", data={**ASKED, **fields})
        assert answer.status_code == 422, (fields, answer.status_code)
        assert told in answer.text and 'class="wrong"' in answer.text, fields
        assert 'name="model:llm/beta" checked' in answer.text and "<b>" not in answer.text
    assert (await http.get("/api/v1/compare")).json()["comparisons"] == []


async def test_a_form_that_is_sent_twice_starts_one_comparison(http: httpx.AsyncClient) -> None:
    first = await started(http, once="abc")
    assert await started(http, once="abc") == first
    assert await started(http, once="abc", seed="7") != first
    assert await started(http, once="def") != first
    # What was deleted may come again.
    await pieces(http, first)
    await _deleted(http, first)
    assert await started(http, once="abc") == first
    assert cells_in(await pieces(http, first)) != []
    assert (await http.get(f"/api/v1{first}")).json()["state"] == "done"


async def _deleted(http: httpx.AsyncClient, address: str) -> None:
    """As soon as whoever drives it has let go."""
    with anyio.fail_after(10):
        while (await http.post(f"{address}/delete")).status_code != 303:
            await anyio.sleep(0.1)


async def test_only_what_has_changed_is_sent_to_who_watches(http: httpx.AsyncClient, server: Script) -> None:
    wait = asyncio.Event()

    def first_is_slow(received: Received) -> Answer:
        return hanging(wait) if received.json["model"] == "beta" else answered(received)

    server.on(CHAT, first_is_slow)
    address = await started(http)
    with anyio.fail_after(20):
        while "alpha on the moon" not in (page := (await http.get(address)).text) or "Once" not in page:
            await anyio.sleep(0.05)
    (found,) = re.findall(r'sse-connect="([^"]*)"', page)
    told: list[str] = []

    async with http.stream("GET", found.replace("&amp;", "&")) as stream:
        async for line in stream.aiter_lines():
            told += [line[6:]] if line.startswith("data: ") else []
            wait.set()
    # Those of alpha had ended before; those of beta are sent while they are written and when they have ended.
    assert set(cells_in(told)) == {1, 3}
    assert sum('class="cell stack tight answered"' in line for line in told) == 2
    assert cells_in(await pieces(http, address)) == [0, 1, 2, 3]


async def test_what_models_write_is_never_markup(http: httpx.AsyncClient, server: Script) -> None:
    server.on(CHAT, lambda received: says(f"<script>alert(1)</script>{received.json['model']}"))
    address = await started(http)
    told = await pieces(http, address)
    ballot = await http.get(f"{address}/vote", params={"voter": "<script>"})
    shown = [*told, *[(await http.get(address + path)).text for path in ("", "/read?differences=true")], ballot.text]
    assert sum("&lt;script&gt;alert(1)" in each for each in shown) >= 4
    assert not any("<script>" in each for each in shown)


async def test_questions_without_an_answer_are_refused(http: httpx.AsyncClient, server: Script) -> None:
    wait = asyncio.Event()
    server.on(CHAT, stream(sse(chunk(reasoning_content="Hm."), done=False), wait, sse(chunk("Yes.", "stop"))))
    address = await started(http)
    assert (await http.post(f"{address}/delete")).status_code == 409
    with anyio.fail_after(20):
        while ">Thinking<" not in (await http.get(address)).text:
            await anyio.sleep(0.1)
    assert (await http.get(f"{address}/read?prompt=99")).status_code == 404
    assert (await http.get(f"{address}/read?show=x")).status_code in (400, 422)
    assert (await http.get(f"{address}?page=99999999999999999999")).status_code == 200
    assert (await http.get(f"{address}?page=-5")).status_code == 200
    assert (await http.get(f"{address}/vote?voter=a")).text.count("There is nothing to vote on yet") == 1
    wait.set()
    await pieces(http, address)
    for sent in (
        {"voter": ""},
        {"voter": "a", "ballot": "x", "best": "A"},
        {"voter": "a" * 200, "ballot": "x", "best": "tie"},
    ):
        assert (await http.post(f"{address}/vote", data=sent)).status_code == 422, sent
    await _deleted(http, address)
    assert (await http.get(address)).status_code == 404
    assert (await http.post(f"{address}/delete")).status_code == 404


async def test_a_comparison_is_asked_again_with_what_it_had(http: httpx.AsyncClient) -> None:
    ways = {"temperature": "0,0.5", "more": "top_p=0.9;think=false;stop=END", "checks": "max-words:9"}
    address = await started(http, **{"name-1": "sea", "system-2": "Be brief.", "many": "one\ntwo", **ways})
    form = (await http.get(f"/compare/new?like={address.rpartition('/')[2]}")).text
    assert 'name="model:llm/alpha" checked' in form and 'value="sea"' in form and "Be brief." in form
    assert [form.count(f">{text}</textarea>") for text in ("the sea", "the moon", "one", "two")] == [1, 1, 1, 1]
    for value in ("0.0,0.5", "top_p=0.9;stop=END;think=false"):
        assert f'value="{value}"' in form
    assert ">max-words:9</textarea>" in form
    expected = '{"prompt": "a", "expected": "b"}'
    address = await started(http, many=expected, form="jsonl")
    assert "&#34;expected&#34;: &#34;b&#34;" in (await http.get(f"/compare/new?like={address.rpartition('/')[2]}")).text


async def test_equal_models_share_a_place_and_an_empty_answer_says_so(http: httpx.AsyncClient, server: Script) -> None:
    server.on(CHAT, lambda received: says("") if received.json["model"] == "alpha" else says("Grey."))
    address = await started(http, **{"text-2": ""})
    await pieces(http, address)
    ballot = (await http.get(f"{address}/vote?voter=ann")).text
    assert ballot.count("An answer without text.") == 1
    name = re.findall(r'name="ballot" value="([^"]+)"', ballot)[0]
    await http.post(f"{address}/vote", data={"voter": "ann", "ballot": name, "best": "tie"})
    told = (await http.get(address)).text
    assert told.count("<td>1</td><th") == 2 and told.count("no range from one pair") == 2


def test_a_size_that_says_nothing_is_not_shown() -> None:
    tiny = Model("a", size=30_000_000, parameters="138944", quantization="all F32")
    assert size_of(tiny) == "F32"
    assert size_of(Model("b", size=4_700_000_000, parameters="7.2B", quantization="Q4_K_M")) == "7.2B · Q4_K_M · 4.7 GB"


async def test_many_cells_stand_on_several_pages(http: httpx.AsyncClient) -> None:
    many = "\n".join(f"prompt {number}" for number in range(130))
    address = await started(http, many=many)
    first, last = (await http.get(address)).text, (await http.get(f"{address}?page=2")).text
    assert "Page 1 of 2" in first and 'id="cell-239"' in first and 'id="cell-240"' not in first
    assert "Page 2 of 2" in last and 'id="cell-240"' in last and 'id="cell-263"' in last
    await http.post(f"{address}/cancel")
