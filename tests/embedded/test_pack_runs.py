"""Graphs of a pack's nodes in the engine: lists, nodes that wait, what is told meanwhile, failures and interrupts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import websockets

from tests.contract.test_protocol import Graph, Peer, peer
from tests.embedded.packs import node, written
from tests.engines import running_engine

Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def pack_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with running_engine("--pack", str(written(tmp_path_factory.mktemp("nodes") / "pack"))) as engine:
        yield engine.url


async def history(engine: Peer, prompt_id: str) -> dict[str, Any]:
    return (await engine.http.get(f"/history/{prompt_id}")).json()[prompt_id]


def steps(events: Events, *kinds: str) -> list[tuple[str, str | None]]:
    return [(kind, data["node"]) for kind, data in events if kind in kinds]


def only(events: Events, kind: str) -> dict[str, Any]:
    (found,) = [data for each, data in events if each == kind]
    return found


async def test_the_items_of_a_list_wait_at_once_and_others_work_meanwhile(pack_url: str) -> None:
    graph = {
        "1": node("Words", text="a,b,c"),
        "2": node("Later", text=["1", 0], seconds=0.5),
        "3": node("Join", texts=["2", 0], by="-"),
        "4": node("Show", anything=["3", 0]),
        "5": node("Now", text="beside"),
        "6": node("Show", anything=["5", 0]),
        "7": node("Later", text="alone", seconds=0.5),
        "8": node("Show", anything=["7", 0]),
    }
    async with peer(pack_url) as engine:
        prompt_id, events = await engine.run(graph)
        shown = (await history(engine, prompt_id))["outputs"]
    assert shown["4"]["text"] == ["A-B-C"]
    spans = [*shown["2"]["spans"], *shown["7"]["spans"]]
    assert len(spans) == 4
    first_end = min(ended for _, ended in spans)
    assert max(began for began, _ in spans) < first_end
    assert shown["5"]["at"][0] < first_end
    told = steps(events, "executing", "executed")
    assert told.index(("executed", "6")) < told.index(("executed", "2"))
    assert told.count(("executing", "2")) == 1


async def test_a_node_is_called_for_each_item_and_shorter_lists_repeat_their_last(pack_url: str) -> None:
    graph = {
        "1": node("Words", text="a,b,c"),
        "2": node("Words", text="x,y"),
        "3": node("Now", text=["1", 0], suffix=["2", 0]),
        "4": node("Show", anything=["3", 0]),
        "5": node("Join", texts=["3", 0], by=["2", 0]),
        "6": node("Show", anything=["5", 0]),
        "7": node("Show", anything=["1", 1]),
    }
    async with peer(pack_url) as engine:
        prompt_id, events = await engine.run(graph)
        shown = (await history(engine, prompt_id))["outputs"]
    assert shown["4"] == {"text": ["ax", "by", "cy"], "node": ["4"] * 3, "class": ["TestShow"] * 3}
    assert shown["6"]["text"] == ["axxbyxcy"]
    assert shown["7"]["text"] == ["5"]
    assert len(shown["3"]["at"]) == 3
    assert steps(events, "executing").count(("executing", "3")) == 1


async def test_a_failing_item_ends_the_prompt_and_cancels_who_waits(pack_url: str) -> None:
    graph = {
        "1": node("Words", text="a,bad,c"),
        "2": node("Later", text=["1", 0], seconds=0.1),
        "3": node("Show", anything=["2", 0]),
        "4": node("Later", text="sleeper", seconds=60),
        "5": node("Show", anything=["4", 0]),
        "6": node("Now", text="kept"),
        "7": node("Show", anything=["6", 0]),
    }
    async with peer(pack_url) as engine:
        prompt_id, events = await engine.run(graph)
        entry = await history(engine, prompt_id)
        notes = (await engine.http.get("/pack/notes")).json()["notes"]
    error = only(events, "execution_error")
    assert (error["node_id"], error["node_type"]) == ("2", "TestLater")
    assert (error["exception_type"], error["exception_message"]) == ("ValueError", "that is bad\n")
    assert any("nodes.py" in line for line in error["traceback"])
    assert sorted(error["executed"]) == ["1", "6", "7"]
    assert entry["outputs"].keys() == {"6", "7"}
    assert entry["status"]["status_str"] == "error"
    assert "sleeper was cancelled" in notes
    assert "c was cancelled" not in notes


async def test_a_failure_tells_what_the_node_was_given(pack_url: str) -> None:
    graph = {
        "1": node("Words", text="a,bad,c"),
        "2": node("Thing", text="q"),
        "3": node("Now", text=["1", 0], thing=["2", 0], suffix="s"),
        "4": node("Show", anything=["3", 0]),
    }
    async with peer(pack_url) as engine:
        _, events = await engine.run(graph)
    error = only(events, "execution_error")
    assert error["current_inputs"] == {"text": ["a", "bad", "c"], "thing": ["{'q'}"], "suffix": ["s"]}
    assert error["node_id"] == "3"


async def test_an_interrupt_reaches_nodes_that_look_for_it_and_cancels_the_others(pack_url: str) -> None:
    graph = {
        "1": node("Words", text="a,b"),
        "2": node("Polls", text=["1", 0]),
        "3": node("Show", anything=["2", 0]),
        "4": node("Later", text="interrupted sleeper", seconds=60),
        "5": node("Show", anything=["4", 0]),
    }
    async with peer(pack_url) as engine, anyio.create_task_group() as tasks:

        async def interrupt() -> None:
            while (await engine.http.get("/pack/notes")).json()["notes"].count("polling") != 2:
                await anyio.sleep(0.01)
            await engine.http.post("/interrupt", json={})

        tasks.start_soon(interrupt)
        prompt_id, events = await engine.run(graph)
        entry = await history(engine, prompt_id)
        notes = (await engine.http.get("/pack/notes")).json()["notes"]
        told = only(events, "execution_interrupted")
        assert (told["node_id"], told["node_type"], told["executed"]) == ("2", "TestPolls", ["1"])
        assert entry["status"]["messages"][-1][0] == "execution_interrupted"
        assert "interrupted sleeper was cancelled" in notes
        # The wish is gone: the next prompt runs.
        _, events = await engine.run({"1": node("Now", text="next"), "2": node("Show", anything=["1", 0])})
        assert events[-2][0] == "execution_success"


async def test_text_and_events_go_to_the_client_that_submitted(pack_url: str) -> None:
    graph = {"1": node("Tells", text="ünï"), "2": node("Show", anything=["1", 0])}
    clients = [uuid.uuid4().hex for _ in range(2)]
    address = pack_url.replace("http", "ws", 1) + "/ws?clientId="
    async with (
        httpx.AsyncClient(base_url=pack_url) as http,
        websockets.connect(address + clients[0], proxy=None) as mine,
        websockets.connect(address + clients[1], proxy=None) as other,
    ):
        told = await received(mine, http, graph, clients[0])
        # A second prompt of the other client bounds what it may have been told of the first.
        foreign = await received(other, http, {"1": node("Now", text="o"), "2": graph["2"]}, clients[1])
    frames = [message for message in told if isinstance(message, bytes)]
    assert frames == [b"\0\0\0\x03" + b"\0\0\0\x01" + b"1" + "ünï".encode()]
    kinds = [json.loads(message)["type"] for message in told if isinstance(message, str)]
    assert kinds.count("pack.told") == 1
    assert not [message for message in foreign if isinstance(message, bytes) or "pack.told" in message]
    steps = [json.loads(message)["data"] for message in told if isinstance(message, str)]
    assert [(step["value"], step["max"], step["node"]) for step in steps if "value" in step] == [
        (3, 4, "1"),
        (5, 5, "1"),
    ]


async def received(
    socket: websockets.ClientConnection, http: httpx.AsyncClient, graph: Graph, client: str
) -> list[str | bytes]:
    """All that comes until nothing of the submitted graph executes."""
    await http.post("/prompt", json={"prompt": graph, "client_id": client})
    found: list[str | bytes] = []
    with anyio.fail_after(20):
        while True:
            message = await socket.recv()
            found.append(message)
            if isinstance(message, str):
                told = json.loads(message)
                if told["type"] == "executing" and told["data"]["node"] is None:
                    return found


async def test_a_node_knows_which_prompt_it_is_called_for(pack_url: str) -> None:
    graph = {"1": node("Asks", text="x"), "2": node("Show", anything=["1", 0])}
    async with peer(pack_url) as engine:
        prompt_id, _ = await engine.run(graph)
        shown = (await history(engine, prompt_id))["outputs"]
    assert shown["1"]["asked"] == [[prompt_id, "1"], [prompt_id, "1"], prompt_id]


async def test_what_is_cached_is_told_again_with_what_it_showed(pack_url: str) -> None:
    graph = {"1": node("Later", text="twice", seconds=0), "2": node("Show", anything=["1", 0])}
    async with peer(pack_url) as engine:
        await engine.run(graph)
        _, events = await engine.run(graph)
    assert only(events, "execution_cached")["nodes"] == ["1", "2"]
    assert only(events, "executed")["output"]["text"] == ["TWICE"]
    assert [data["node"] for kind, data in events if kind == "executing"] == [None]


@pytest.mark.parametrize("link", [["nowhere", 0], ["2", 0], ["3", 0], [], ["1", 7]], ids=str)
async def test_links_that_no_class_names_harm_nobody(pack_url: str, link: list[Any]) -> None:
    graph = {
        "1": node("Thing", text="q"),
        "2": node("Now", text="z", undeclared=link),
        "3": node("Show", anything=["2", 0]),
    }
    async with peer(pack_url) as engine:
        await engine.run(graph)
        _, events = await engine.run({"1": node("Now", text="after"), "2": node("Show", anything=["1", 0])})
        assert events[-2][0] == "execution_success"


async def test_a_node_that_ends_the_process_or_is_cancelled_ends_its_prompt_alone(pack_url: str) -> None:
    async with peer(pack_url) as engine:
        for how in ("exit", "exit later", "cancel"):
            graph = {"1": node("Leaves", how=how), "2": node("Show", anything=["1", 0])}
            _, events = await engine.run(graph)
            assert only(events, "execution_error")["node_id"] == "1"


async def test_a_node_that_does_not_stop_keeps_nobody_from_ending_the_engine(tmp_path: Path) -> None:
    graph = {"1": node("Later", text="endless", seconds=3600), "2": node("Show", anything=["1", 0])}
    with running_engine("--pack", str(written(tmp_path / "pack"))) as engine:
        async with httpx.AsyncClient(base_url=engine.url) as http:
            await http.post("/prompt", json={"prompt": graph})
            with anyio.fail_after(10):
                while not (await http.get("/queue")).json()["queue_running"]:
                    await anyio.sleep(0.01)
        # Leaving asks the engine to end, and fails when it does not.
