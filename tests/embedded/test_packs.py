"""Packs of custom nodes in the engine: how they are loaded, told of, checked and cached, and the routes they add."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.test_protocol import Graph, colour, peer
from tests.embedded.packs import BROKEN, node, written
from tests.engines import running_engine


@pytest.fixture(scope="module")
def pack_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    # The dot is no package: ComfyUI writes it otherwise in the module's name.
    with running_engine("--pack", str(written(tmp_path_factory.mktemp("nodes") / "test-pack.v1"))) as engine:
        yield engine.url


async def notes(http: httpx.AsyncClient) -> list[str]:
    return (await http.get("/pack/notes")).json()["notes"]


async def outcome(url: str, graph: Graph) -> tuple[dict[str, Any], list[str]]:
    """What the history shows of each node, and which nodes were cached."""
    async with peer(url) as engine:
        prompt_id, events = await engine.run(graph)
        (cached,) = [data["nodes"] for kind, data in events if kind == "execution_cached"]
        return (await engine.http.get(f"/history/{prompt_id}")).json()[prompt_id]["outputs"], cached


async def test_the_classes_of_a_pack_are_told_of(pack_url: str) -> None:
    async with httpx.AsyncClient(base_url=pack_url) as http:
        told = (await http.get("/object_info")).json()
    assert told["TestWords"]["display_name"] == "Words of a Text"
    assert told["TestLater"]["display_name"] == "TestLater"
    assert told["TestWords"]["python_module"] == "custom_nodes.test-pack.v1"
    assert told["KSampler"]["python_module"] == "nodes"
    assert told["TestWords"]["output_is_list"] == [True, False]
    assert told["TestShow"]["input"]["required"] == {"anything": ["*"]}
    assert told["TestShow"]["input"]["hidden"] == {"node": "UNIQUE_ID", "graph": "PROMPT"}


async def test_a_pack_that_does_not_load_is_told_of_and_the_rest_works(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = written(tmp_path / "broken")
    (broken / "__init__.py").write_text(BROKEN)
    options = [("--pack", str(folder)) for folder in (broken, tmp_path / "nowhere", written(tmp_path / "good"))]
    with running_engine(*[word for option in options for word in option]) as engine:
        shown, _ = await outcome(engine.url, {"1": node("Now", text="x"), "2": node("Show", anything=["1", 0])})
        assert shown["2"]["text"] == ["x"]
        await outcome(engine.url, colour())
    told = capfd.readouterr().err
    assert "this pack does not load" in told
    assert f"Cannot import {broken}" in told and f"Cannot import {tmp_path / 'nowhere'}" in told
    assert str(tmp_path / "good") not in told


async def test_a_pack_does_not_take_the_place_of_the_engines_own_classes(tmp_path: Path) -> None:
    pack = written(tmp_path / "pack")
    (pack / "__init__.py").write_text(
        "from .nodes import Now\nNODE_CLASS_MAPPINGS = {'EmptyImage': Now, 'TestOther': Now}\n"
    )
    with running_engine("--pack", str(pack)) as engine:
        async with httpx.AsyncClient(base_url=engine.url) as http:
            told = (await http.get("/object_info")).json()
    assert told["EmptyImage"]["output"] == ["IMAGE"]
    assert told["TestOther"]["output"] == ["STRING"]


async def test_the_routes_of_a_pack_are_served_twice(pack_url: str) -> None:
    async with httpx.AsyncClient(base_url=pack_url) as http:
        for prefix in ("", "/api"):
            answer = await http.get(f"{prefix}/pack/notes", params={"of": "ünï"})
            assert answer.json()["of"] == "ünï"
            assert answer.headers["x-pack"] == "yes"
            assert answer.headers["content-type"].startswith("application/json")
            answer = await http.post(f"{prefix}/pack/echo/bob", json={"text": "hi"})
            assert (answer.status_code, answer.text) == (201, "bob: hi")
            answer = await http.get(f"{prefix}/pack/missing")
            assert (answer.status_code, answer.text) == (404, "nothing here")


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_handler_that_fails_is_a_500_and_the_engine_goes_on(pack_url: str, prefix: str) -> None:
    async with httpx.AsyncClient(base_url=pack_url) as http:
        assert (await http.post(f"{prefix}/pack/echo/bob", content=b"no JSON")).status_code == 500
        assert (await http.get(f"{prefix}/pack/notes")).status_code == 200


async def test_a_socket_for_everything_takes_everything_and_a_plain_star_does_not(pack_url: str) -> None:
    graph = {
        "1": node("Thing", text="q"),
        "2": node("Now", text="x", thing=["1", 0], suffix=["1", 0]),
        "3": node("Show", anything=["1", 0]),
    }
    shown, _ = await outcome(pack_url, graph)
    assert shown["3"]["text"] == ["{'q'}"]
    graph = {"1": node("Words", text="q"), "2": node("Join", texts=["1", 1]), "3": node("Show", anything=["2", 0])}
    async with peer(pack_url) as engine:
        told = (await engine.post(graph)).json()["node_errors"]["2"]["errors"]
    assert [error["type"] for error in told] == ["return_type_mismatch", "required_input_missing"]


async def test_a_pack_checks_its_inputs_itself(pack_url: str) -> None:
    def graph(model: str, count: int) -> Graph:
        checked = node("Checked", model=model, count=count, linked=["3", 0])
        return {"1": checked, "2": node("Show", anything=["1", 0]), "3": node("Now", text="!")}

    shown, _ = await outcome(pack_url, graph("not in the list", 1))
    assert shown["2"]["text"] == ["not in the list1!"]
    async with peer(pack_url) as engine:
        (error,) = (await engine.post(graph("known", 0))).json()["node_errors"]["1"]["errors"]
        assert error["type"] == "value_smaller_than_min"
        errors = (await engine.post(graph("no", 1))).json()["node_errors"]["1"]["errors"]
    # Told for each input that was looked at; a link is None there.
    assert [error["details"] for error in errors] == [
        f"{name} - there is no no, and the link is None" for name in ("model", "linked")
    ]


async def test_is_changed_sees_constants_alone_and_nan_runs_again(pack_url: str) -> None:
    def graph(model: str, linked: bool) -> Graph:
        more = {"linked": ["3", 0]} if linked else {}
        checked = node("Checked", model=model, count=3, **more)
        return {"1": checked, "2": node("Show", anything=["1", 0]), "3": node("Now", text="!")}

    shown, _ = await outcome(pack_url, graph("known", linked=True))
    again, cached = await outcome(pack_url, graph("known", linked=True))
    assert cached == ["1", "2", "3"]
    assert again == shown
    await outcome(pack_url, graph("fresh", linked=False))
    _, cached = await outcome(pack_url, graph("fresh", linked=False))
    assert cached == []
    async with httpx.AsyncClient(base_url=pack_url) as http:
        found = [note for note in await notes(http) if " 3 " in note]
    assert found == ["known 3 None", "known 3 None", "fresh 3 absent", "fresh 3 absent"]


async def test_a_node_that_asks_for_its_id_is_cached_by_it(pack_url: str) -> None:
    first = {"1": node("Now", text="renumbered"), "2": node("Show", anything=["1", 0])}
    second = {"7": first["1"], "8": node("Show", anything=["7", 0])}
    await outcome(pack_url, first)
    shown, cached = await outcome(pack_url, json.loads(json.dumps(second)))
    assert cached == ["7"]
    assert shown["8"] == {"text": ["renumbered"], "node": ["8"], "class": ["TestShow"]}
