"""Graphs that run again: what is asked anew, and what the nodes keep from one graph to the next."""

from __future__ import annotations

from comfy_mcp.jobs import Graph
from tests.bridge.servers import Received
from tests.nodes.graphs.engines import Ground
from tests.nodes.graphs.running import Submitter, compared, generate, unseen
from tests.texts import CHAT

MODELS = "scripted/words-1b\nscripted/eyes-7b"


def chats(ground: Ground) -> list[tuple[str, str]]:
    """The model and the prompt of each question so far."""
    return [(body["model"], body["messages"][-1]["content"]) for body in ground.scripted.bodies(CHAT)]


async def test_the_same_graph_asks_nothing_and_another_seed_asks_again(ground: Ground, submit: Submitter) -> None:
    graph: Graph = {"1": generate("scripted/words-1b", "Hello.", seed=unseen())}
    first = await submit(graph)
    again = await submit(graph)
    assert again.shown("1") == first.shown("1") and len(chats(ground)) == 1
    graph["1"]["inputs"]["seed"] += 1
    await submit(graph)
    assert [body["seed"] for body in ground.scripted.bodies(CHAT)] == [
        graph["1"]["inputs"]["seed"] - 1,
        graph["1"]["inputs"]["seed"],
    ]


async def test_a_comparison_asks_only_for_the_cells_that_changed(ground: Ground, submit: Submitter) -> None:
    seed = unseen()
    await submit(compared(MODELS, "a\nb\nc", seed=seed))
    assert len(chats(ground)) == 6
    again = await submit(compared(MODELS, "a\nb\nc", seed=seed))
    assert len(chats(ground)) == 6
    assert [cell["text"] for cell in again.outputs["4"]["comparison"][0]["cells"]][:2] == [
        "words-1b on a",
        "eyes-7b on a",
    ]
    changed = await submit(compared(MODELS, "a\nx\nc", seed=seed))
    assert sorted(chats(ground)[6:]) == [("eyes-7b", "x"), ("words-1b", "x")]
    cached = [cell["cached"] for cell in changed.outputs["4"]["comparison"][0]["cells"]]
    assert cached == [True, True, False, False, True, True]
    await submit(compared(MODELS, "a\nx\nc", seed=seed + 1))
    assert len(chats(ground)) == 14


async def test_the_next_graph_does_not_find_out_again_what_the_server_is(ground: Ground, submit: Submitter) -> None:
    await submit({"1": generate("scripted/words-1b", seed=unseen())})
    before = len(ground.scripted.received)
    await submit({"1": generate("scripted/words-1b", seed=unseen())})
    since = [_route(received) for received in ground.scripted.received[before:]]
    assert since.count(CHAT) == 1 and set(since) <= {CHAT, "GET /v1/models"}


def _route(received: Received) -> str:
    return f"{received.method} {received.path.partition('?')[0]}"
