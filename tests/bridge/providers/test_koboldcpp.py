"""KoboldCpp, with and without its admin mode."""

from __future__ import annotations

import pytest

from llm_bridge.chat import ChatRequest, Reasoning, Sampling, Text, Tool, Usage
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import KeyRefused, LoadFailed, NotSupported, ServerBusy, TimedOut, UnknownModel
from llm_bridge.messages import Image, Message, ToolCall
from llm_bridge.providers import Model, State
from llm_bridge.providers.koboldcpp import KoboldCpp
from llm_bridge.transport import Transport
from tests.bridge.providers.scripted import CHAT, asked, chat, client_of, refused, served, told
from tests.bridge.providers.scripted_koboldcpp import KoboldCppServer, koboldcpp_alone
from tests.bridge.servers import End, chunk, json_answer, scripted, sse, stream

RELOAD, COUNT = "POST /api/admin/reload_config", "POST /api/extra/tokencount"
GEMMA, TINY, STORY = "gemma-3-27b.gguf", "tiny (1).gguf", "story.kcpps"


async def test_a_server_without_admin_has_the_model_that_it_was_started_with() -> None:
    async with served(koboldcpp_alone) as (script, client):
        dialect = await client.dialect()
        assert await client.models() == [Model("koboldcpp/gemma-3-27b", State.LOADED, context=8192, vision=False)]
        await client.load("koboldcpp/gemma-3-27b")
        with pytest.raises(NotSupported):
            await client.load("another")
        with pytest.raises(NotSupported):
            await client.unload("koboldcpp/gemma-3-27b")
    assert (dialect.kind, dialect.loads, dialect.unloads) == ("koboldcpp", False, False)
    assert not script.bodies(RELOAD)


async def test_a_server_that_knows_no_admin_has_its_model_as_well() -> None:
    async with scripted() as script:
        koboldcpp_alone(script)
        script.on("GET /api/admin/list_options", json_answer({}, 404))
        async with client_of(script) as client:
            assert [model.id for model in await client.models()] == ["koboldcpp/gemma-3-27b"]
            assert not (await client.dialect()).loads


async def test_with_admin_the_files_are_listed_and_the_loaded_one_is_known_by_its_name() -> None:
    server = KoboldCppServer()
    async with served(server) as (_, client):
        assert (await client.dialect()).loads
        assert await client.models() == [
            Model(GEMMA, State.LOADED, context=8192, vision=True),
            Model(TINY, State.UNLOADED),
            Model(STORY, State.UNLOADED),
        ]
        server.name = "koboldcpp/from-elsewhere"
        assert [(model.id, model.state) for model in await client.models()][:2] == [
            ("koboldcpp/from-elsewhere", State.LOADED),
            (GEMMA, State.UNLOADED),
        ]
        server.name = "inactive"
        assert {model.state for model in await client.models()} == {State.UNLOADED}


async def test_it_is_restarted_with_another_file_and_waited_for() -> None:
    async with served(KoboldCppServer()) as (script, client):
        await client.load(TINY)
        assert (await client.find(TINY)).state is State.LOADED
        assert (await client.find(GEMMA)).state is State.UNLOADED
        await client.load(TINY)
        await client.unload(GEMMA)
        await client.unload(TINY)
        assert (await client.find(TINY)).state is State.UNLOADED
    assert script.bodies(RELOAD) == [{"filename": TINY}, {"filename": "unload_model"}]


async def test_a_settings_file_is_remembered_by_the_model_that_came_of_it() -> None:
    server = KoboldCppServer()
    server.makes[STORY] = "koboldcpp/writer"
    async with served(server) as (_, client):
        await client.load(STORY)
        assert (await client.find(STORY)).state is State.LOADED
        assert [model.id for model in await client.models()] == [GEMMA, TINY, STORY]


async def test_what_cannot_be_loaded_says_so() -> None:
    server = KoboldCppServer()
    # After a load that failed it starts again with what it had.
    server.makes |= {TINY: "koboldcpp/gemma-3-27b", STORY: "inactive"}
    async with served(server) as (script, client):
        for file in (TINY, STORY):
            with pytest.raises(LoadFailed):
                await client.load(file)
        with pytest.raises(UnknownModel):
            await client.load("nope.gguf")
        script.on(RELOAD, json_answer({"success": False}))
        with pytest.raises(NotSupported, match="does not restart"):
            await client.load(GEMMA)


async def test_a_server_that_does_not_come_back_is_told_of() -> None:
    async with scripted() as script:
        server = KoboldCppServer()
        server(script)
        script.on(RELOAD, json_answer({"success": True}))
        async with client_of(script, load=0.1) as client:
            with pytest.raises(TimedOut):
                await client.load(TINY)


async def test_a_chat_streams_and_thoughts_between_tags_are_told_apart() -> None:
    async with served(KoboldCppServer()) as (_, client):
        reply, events = await asked(client, chat(GEMMA))
    assert events[:3] == [Reasoning("Hm."), Text("Hallo"), Text(" 世界")]
    assert (reply.text, reply.reasoning, reply.finish) == ("Hallo 世界", "Hm.", "stop")
    assert reply.model == "koboldcpp/gemma-3-27b"
    assert reply.usage == Usage()


async def test_everything_that_is_asked_stands_in_the_request() -> None:
    sampling = Sampling(temperature=0.5, top_k=20, min_p=0.05, repeat_penalty=1.1, seed=7, max_tokens=64, stop=("END",))
    messages = (Message.user("What is it?", [Image(b"png")]),)
    wanted = ChatRequest(GEMMA, messages, sampling, schema={"type": "object"}, think=True, ttl=60)
    async with Transport.open(Endpoint("box", "http://127.0.0.1:1")) as transport:
        call = KoboldCpp(transport).call(wanted)
    assert call.path == "/v1/chat/completions"
    body = dict(call.body)
    assert body.pop("messages")[0]["content"][0]["image_url"]["url"] == "data:image/png;base64,cG5n"
    assert body.pop("response_format")["json_schema"]["schema"] == {"type": "object"}
    assert body == {
        "model": GEMMA,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_k": 20,
        "min_p": 0.05,
        "repeat_penalty": 1.1,
        "seed": 7,
        "max_tokens": 64,
        "stop": ["END"],
    }


async def test_a_tool_call_comes_in_pieces() -> None:
    async with served(KoboldCppServer()) as (script, client):
        script.on(CHAT, told("koboldcpp", "tool_call"))
        reply, _ = await asked(client, chat(GEMMA, tools=(Tool("get_weather"),)))
    assert reply.tool_calls == (ToolCall("call_12345", "get_weather", '{"city": "Bern"}'),)
    assert reply.finish == "tool_calls"


async def test_the_prompt_is_counted_in_the_frame_of_the_server() -> None:
    messages = (Message.system("Be brief."), Message.user("Hi"), Message.assistant("Ho"), Message.user("?"))
    async with served(KoboldCppServer()) as (script, client):
        assert await client.count(ChatRequest(GEMMA, messages)) == 21
        assert await client.count(ChatRequest(GEMMA, (Message.user("?", [Image(b"png")]),))) is None
    begin, answer = "\n### Instruction:\n", "\n### Response:\n"
    assert script.bodies(COUNT) == [{"prompt": f"{begin}Be brief.{begin}Hi{answer}Ho{begin}?{answer}"}]


async def test_failures_mean_what_they_say() -> None:
    async with served(KoboldCppServer()) as (script, client):
        script.on(CHAT, refused("koboldcpp", "busy", 503))
        with pytest.raises(ServerBusy, match="Server is busy"):
            await client.ask(chat(GEMMA))
        script.on(CHAT, refused("koboldcpp", "unauthorized", 401))
        with pytest.raises(KeyRefused, match="Unauthorized"):
            await client.ask(chat(GEMMA))
        script.on(CHAT, stream(sse(chunk("") | {"model": "inactive"})))
        with pytest.raises(UnknownModel, match="no model loaded"):
            await client.ask(chat(GEMMA))


async def test_leaving_a_chat_closes_its_connection() -> None:
    first = {"choices": [{"index": 0, "finish_reason": None, "delta": {"role": "assistant", "content": "Hi"}}]}
    async with served(KoboldCppServer()) as (script, client):
        script.on(CHAT, stream(sse(first, done=False), End.HANG))
        async with client.stream(chat(GEMMA)) as events:
            assert await anext(events) == Text("Hi")
        await script.aborted.wait()
