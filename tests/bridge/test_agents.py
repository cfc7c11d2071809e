"""Agents from a file, and their replies in a thread through a real client and a scripted server."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_bridge.agents import Agent, Agents, load, parse
from llm_bridge.chat import ChatRequest, Event, Sampling, Text, Tool
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, ContextExceeded
from llm_bridge.messages import Message
from llm_bridge.tokens import Learned
from tests.bridge.servers import Answer, Script, chunk, json_answer, scripted, sse, stream

ADA: dict[str, Any] = {
    "name": "Ada",
    "metadata": {"llm": {"model": "qwen3-8b", "baseURL": "http://localhost:1234/v1"}},
}


def test_the_file_of_the_front_end_is_read_as_it_is() -> None:
    own = {**ADA, "path": "./llm_chat_agent/LocalLLMStreamAgent.js", "settings": {"x": 1}}
    expected = Agent("Ada", "qwen3-8b", Endpoint("Ada", "http://localhost:1234/v1"))
    assert parse({"agents": [own]}) == parse([own]) == (expected,)
    assert expected.request([Message.user("Hi")]) == ChatRequest("qwen3-8b", (Message.user("Hi"),))


def test_everything_an_agent_can_say_reaches_its_request() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    function = {"name": "look", "description": "Looks.", "parameters": schema}
    parameters = {"temperature": 0, "top_p": 0.9, "max_tokens": 200, "seed": 7, "stop": "END"}
    (agent,) = parse(
        [
            {
                "name": "Ada",
                "description": "Counts.",
                "metadata": {
                    "llm": {"model": "m", "baseURL": "https://x.example", "apiKeyEnv": "ADA_KEY"},
                    "colour": 1,
                },
                "systemPrompt": "You count.",
                "parameters": parameters,
                "context": {"strategy": "middle_out", "reserve": 300},
                "tools": [{"type": "function", "function": function}, {"name": "wait"}],
            }
        ]
    )
    assert agent.endpoint == Endpoint("Ada", "https://x.example", key_env="ADA_KEY")
    assert (agent.description, agent.strategy, agent.reserve) == ("Counts.", "middle_out", 300)
    request = agent.request([Message.system("Summary"), Message.user("Hi")])
    assert [message.text for message in request.messages] == ["You count.", "Summary", "Hi"]
    assert request.sampling == Sampling(temperature=0, top_p=0.9, max_tokens=200, seed=7, stop=("END",))
    assert request.tools == (Tool("look", "Looks.", schema), Tool("wait"))
    assert parse([{**ADA, "context": "summarise", "parameters": {"stop": ["a", "b"]}}])[0].sampling.stop == ("a", "b")


def problems(**fields: Any) -> list[str]:
    with pytest.raises(BadInput) as refused:
        parse([{**ADA, **fields}])
    return list(refused.value.details["problems"])


def llm(**fields: Any) -> list[str]:
    return problems(metadata={"llm": {"model": "m", **fields}})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (problems(sytem="x"), "agents[0].sytem is unknown (did you mean system?)"),
        (
            problems(parameters={"temprature": 1}),
            "agents[0].parameters.temprature is unknown (did you mean temperature?)",
        ),
        (
            problems(parameters={"temperature": "hot"}),
            "agents[0].parameters.temperature must be a number of at least 0",
        ),
        (problems(parameters={"temperature": True}), "agents[0].parameters.temperature must be a number of at least 0"),
        (problems(parameters={"top_p": 1.5}), "agents[0].parameters.top_p must be a number from 0 to 1"),
        (
            problems(parameters={"temperature": float("inf")}),
            "agents[0].parameters.temperature must be a number of at least 0",
        ),
        (problems(parameters={"seed": 1.5}), "agents[0].parameters.seed must be a whole number"),
        (problems(parameters={"stop": [1]}), "agents[0].parameters.stop must be a text or a list of texts"),
        (problems(parameters=[]), "agents[0].parameters must be an object"),
        (problems(context="trim"), "agents[0].context must be one of error, trim_oldest, middle_out, summarise"),
        (
            problems(context="summarize"),
            "agents[0].context must be one of error, trim_oldest, middle_out, summarise (did you mean summarise?)",
        ),
        (problems(context={"reserve": 0}), "agents[0].context.reserve must be a whole number of at least 1"),
        (problems(tools={}), "agents[0].tools must be a list"),
        (problems(tools=["look"]), "agents[0].tools[0] must be an object"),
        (problems(system="x", instructions="y"), "agents[0] has both system and instructions, which mean the same"),
        (problems(system=5), "agents[0].system must be a text"),
        (problems(name=" "), "agents[0].name must be a text that says something"),
        (problems(metadata=None), "agents[0].metadata must be an object"),
        (llm(model=None), "agents[0].metadata.llm.model must be a text that says something"),
        (llm(baseUrl="http://x"), "agents[0].metadata.llm.baseUrl is unknown (did you mean baseURL?)"),
        (llm(baseURL="file:///etc"), "agents[0].metadata.llm.baseURL is not usable (The address of Ada is no address)"),
        (
            llm(apiKey="sk-secret"),
            "agents[0].metadata.llm.apiKey is not read; name an environment variable as apiKeyEnv instead",
        ),
        (llm(apiKeyEnv="KEY"), "agents[0].metadata.llm.apiKeyEnv needs a baseURL beside it"),
        (
            llm(baseURL="http://x", apiKeyEnv="sk-secret"),
            "agents[0].metadata.llm.apiKeyEnv must be the name of an environment variable, not a key",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_place(found: list[str], expected: str) -> None:
    assert expected in found
    assert "secret" not in " ".join(found)


def test_all_problems_of_a_file_are_told_at_once() -> None:
    file: dict[str, Any] = {"agents": [ADA, {**ADA, "tols": []}, {"name": "Bob"}]}
    with pytest.raises(BadInput) as refused:
        parse(file, "mine.json")
    told = str(refused.value)
    assert told.startswith("mine.json has ")
    for words in (
        "agents[1].tols",
        "agents[2].metadata",
        'more than one agent is named "Ada"',
    ):
        assert words in told
    with pytest.raises(BadInput, match="must be a list of agents"):
        parse({"agents": {}})


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
KEYS = st.sampled_from(["name", "description", "metadata", "system", "parameters", "context", "tools", "path"])


@settings(deadline=None)
@given(st.lists(st.one_of(JSON, st.dictionaries(KEYS, JSON)), max_size=3), st.dictionaries(KEYS, JSON))
def test_whatever_is_in_a_file_it_is_read_or_refused(values: list[Any], more: dict[str, Any]) -> None:
    for value in (values, [{**ADA, **more}]):
        try:
            assert all(agent.name and agent.model for agent in parse(value))
        except BadInput as refused:
            assert refused.details["problems"]


def test_what_is_not_known_is_passed_over_with_a_note() -> None:
    told = {"model": "m", "baseURL": "http://localhost:1234/v1", "apiKey": "lm-studio", "provider": "x", "modelId": "y"}
    (agent,) = parse({"agents": [{"name": "Ada", "metadata": {"llm": told}, "icon": "cat"}], "version": 2})
    assert agent.endpoint == Endpoint("Ada", "http://localhost:1234/v1")
    assert agent.notes == (
        "agents[0].icon is unknown and was passed over",
        "agents[0].metadata.llm.provider is unknown and was passed over",
        "agents[0].metadata.llm.modelId is unknown and was passed over",
        "agents[0].metadata.llm.apiKey is not read; name an environment variable as apiKeyEnv instead",
    )
    assert llm(baseURL="https://x.example", apiKey="sk-secret") == [
        "agents[0].metadata.llm.apiKey is not read; name an environment variable as apiKeyEnv instead"
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"name": }]', "agents.json is no JSON: line 1, column 11."),
        (b"\xff\xfe", "agents.json is no usable JSON in UTF-8."),
        (b"[" * 200_000, "agents.json is no usable JSON"),
        (b"[" + b"9" * 5000 + b"]", "agents.json is no usable JSON"),
        (b" " * 5_000_000, "agents.json is too large."),
        (None, "agents.json cannot be read."),
    ],
)
def test_a_bad_file_is_named_without_its_folder(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "agents.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        load(path)
    assert words in refused.value.message
    assert str(tmp_path) not in str(refused.value)


def test_a_good_file_is_loaded_with_or_without_a_mark_of_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "agents.json"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text(json.dumps([{**ADA, "system": "Zähle."}], ensure_ascii=False), encoding=encoding)
        assert load(path)[0].system == "Zähle."


@asynccontextmanager
async def at_work(*agents: dict[str, Any], learned: Learned | None = None) -> AsyncGenerator[tuple[Agents, Script]]:
    """The agents on one scripted server, which knows their model by a window of 1000 tokens and says Yes."""
    async with scripted(
        "POST /v1/chat/completions", stream(sse(chunk("Y"), chunk("es"), chunk(None, "stop")))
    ) as server:
        server.on("GET /v1/models", json_answer({"data": [{"id": "qwen3-8b", "max_model_len": 1000}]}))
        async with Client.open(Endpoint("scripted", server.url, kind="openai")) as client:
            yield Agents(parse(list(agents)), lambda agent: client, learned), server


def sent(server: Script) -> list[list[dict[str, Any]]]:
    return [body["messages"] for body in server.bodies("POST /v1/chat/completions")]


async def test_a_reply_streams_and_speaks_with_the_agents_voice() -> None:
    events: list[Event] = []
    async with at_work({**ADA, "system": "Be brief.", "parameters": {"seed": 3}}) as (agents, server):
        reply = await agents.reply("Ada", [Message.user("Hi")], events.append)
        assert [event.text for event in events if isinstance(event, Text)] == ["Y", "es"]
        assert (reply.text, reply.notes) == ("Yes", ())
        assert sent(server) == [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]]
        assert server.bodies("POST /v1/chat/completions")[0]["seed"] == 3
        assert agents.names == ("Ada",)
        with pytest.raises(BadInput, match="Did you mean Ada"):
            await agents.reply("Adda", [Message.user("Hi")])


async def test_agents_of_one_thread_know_each_other_by_name() -> None:
    async with at_work(ADA, {**ADA, "name": "Bob"}) as (agents, server):
        thread = [Message.user("Agree?")]
        for name in ("Ada", "Bob", "Ada"):
            reply = await agents.reply(name, thread)
            thread.append(replace(reply.message, name=name))
    assert [[(each["role"], each["content"]) for each in messages] for messages in sent(server)] == [
        [("user", "Agree?")],
        [("user", "User: Agree?\n\nAda: Yes")],
        [("user", "User: Agree?"), ("assistant", "Yes"), ("user", "Bob: Yes")],
    ]


LONG = [Message.user("u" * 1000), Message.assistant("a" * 1000)] * 4


async def test_a_long_thread_is_fitted_by_the_agents_strategy_into_the_servers_window() -> None:
    async with at_work({**ADA, "context": "trim_oldest"}) as (agents, server):
        reply = await agents.reply("Ada", [*LONG, Message.user("So?")])
        assert len(sent(server)[0]) == 3
        assert reply.notes == ("6 messages were left out, the oldest, to fit into 1000 tokens.",)
    async with at_work(ADA) as (agents, server):
        with pytest.raises(ContextExceeded):
            await agents.reply("Ada", [*LONG, Message.user("So?")])
        assert sent(server) == []


async def test_a_summary_is_asked_of_the_agents_model_and_kept_for_its_next_reply() -> None:
    async with at_work({**ADA, "context": "summarise"}) as (agents, server):
        await agents.reply("Ada", [*LONG, Message.user("So?")])
        asked = len(sent(server))
        assert asked > 1
        assert "Yes" in sent(server)[-1][0]["content"]
        await agents.reply("Ada", [*LONG, Message.user("So?"), Message.assistant("Yes"), Message.user("Why?")])
        assert len(sent(server)) == asked + 1


def refused(**numbers: int) -> Answer:
    error = {"code": 400, "type": "exceed_context_size_error", "message": "the request exceeds the context", **numbers}
    return json_answer({"error": error}, 400)


async def test_a_server_that_finds_it_too_long_is_asked_once_more_with_less() -> None:
    yes = stream(sse(chunk("Yes"), chunk(None, "stop")))
    learned = Learned()
    async with at_work({**ADA, "context": "trim_oldest"}, learned=learned) as (agents, server):
        # It lists the model under another name, so that its window is told by the refusal alone.
        server.on("GET /v1/models", json_answer({"data": [{"id": "other"}]}))
        server.on("POST /v1/chat/completions", refused(n_prompt_tokens=4000, n_ctx=2048), yes)
        reply = await agents.reply("Ada", [*LONG, Message.user("So?")])
        assert [len(messages) for messages in sent(server)] == [9, 3]
        assert len(reply.notes) == 1
        server.on("POST /v1/chat/completions", refused(n_prompt_tokens=4000, n_ctx=2048))
        with pytest.raises(ContextExceeded):
            await agents.reply("Ada", [*LONG, Message.user("So?")])
        assert len(sent(server)) == 4


async def test_an_answer_that_began_is_not_asked_for_again() -> None:
    error = {"code": 400, "type": "exceed_context_size_error", "message": "the context is full", "n_ctx": 2048}
    broken = stream(sse(chunk("Once upon"), {"error": error}))
    events: list[Event] = []
    async with at_work({**ADA, "context": "trim_oldest"}) as (agents, server):
        server.on("POST /v1/chat/completions", broken, stream(sse(chunk("Yes", "stop"))))
        with pytest.raises(ContextExceeded):
            await agents.reply(
                "Ada", [Message.user("Hi"), Message.assistant("Yes"), Message.user("So?")], events.append
            )
        assert len(sent(server)) == 1
    assert events == [Text("Once upon")]


async def test_what_the_server_counted_is_learned() -> None:
    learned = Learned()
    usage: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 1}}
    async with at_work(ADA, learned=learned) as (agents, server):
        server.on("POST /v1/chat/completions", stream(sse(chunk("Yes"), chunk(None, "stop"), usage)))
        await agents.reply("Ada", [Message.user("u" * 2000)])
    assert learned.estimate(ChatRequest("qwen3-8b", (Message.user("u" * 2000),))) > 800
