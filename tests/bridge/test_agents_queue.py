"""Agents of a file behind a queue: each on its own server, and those that name the same on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_bridge.agents import Agents, parse
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, UnknownModel
from llm_bridge.messages import Message
from llm_bridge.queue import Queue
from tests.texts import models_asked, text_server

SEA = [Message.user("the sea")]


def written(folder: Path, *agents: tuple[str, str, str]) -> Path:
    """A file of agents, each with its name, model and address."""
    told: list[dict[str, Any]] = []
    for name, model, url in agents:
        llm = {"model": model} | ({"baseURL": url} if url else {})
        told.append({"name": name, "metadata": {"llm": llm}})
    path = folder / "agents.json"
    path.write_text(json.dumps(told))
    return path


async def test_a_file_is_opened_and_each_agent_asks_its_own_server(tmp_path: Path) -> None:
    async with text_server(("alpha",)) as one, text_server(("alpha", "beta")) as other:
        path = written(tmp_path, ("a", "alpha", one.url), ("b", "alpha", f"{other.url}/v1"), ("c", "beta", ""))
        async with Agents.open(path, [Endpoint("known", other.url)]) as agents:
            replies = [await agents.reply(name, SEA) for name in agents.names]
    assert [reply.server for reply in replies] == ["a", "known", "known"]
    assert (models_asked(one), models_asked(other)) == (["alpha"], ["alpha", "beta"])


async def test_a_file_that_names_no_server_wants_one(tmp_path: Path) -> None:
    path = written(tmp_path, ("a", "alpha", ""))
    with pytest.raises(BadInput, match="names no server"):
        async with Agents.open(path):
            pass


async def test_a_queue_serves_agents_as_a_client_does() -> None:
    told = {
        name: {"name": name, "metadata": {"llm": {"model": model}}} for name, model in (("a", "alpha"), ("b", "beta"))
    }
    async with (
        text_server(("alpha",)) as one,
        text_server(("beta",)) as other,
        Queue.open([Endpoint("one", one.url), Endpoint("other", other.url)]) as queue,
    ):
        agents = Agents(parse(list(told.values()), "agents.json"), lambda agent: queue)
        replies = [await agents.reply(name, [Message.user("the sea")]) for name in agents.names]
        with pytest.raises(UnknownModel):
            await queue.find("gamma")
    assert [(reply.text, reply.server) for reply in replies] == [
        ("alpha on the sea", "one"),
        ("beta on the sea", "other"),
    ]
