"""What chat front ends ask beside the conversation paints no picture, and gets an answer that they understand.

The prompts are what the front ends send: Open WebUI's from `backend/open_webui/config.py`, LibreChat's from
`danny-avila/agents:src/utils/title.ts`, LobeHub's from `packages/prompts/src/chains/summaryTitle.ts`.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.proxy.openai.chatting import PATH, body, openai_client, over_text, said
from tests.texts import NOWHERE
from tests.workbenches import served

HISTORY = (
    "### Chat History:\n<chat_history>\nUSER: a lighthouse in a storm at night --steps 30\n"
    "ASSISTANT: ![x](y)\n</chat_history>"
)
TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Guidelines:\n"
    "- The title should clearly represent the main theme or subject of the conversation.\n### Output:\n"
)
TASKS: dict[str, tuple[str, Any]] = {
    "title": (
        f'{TITLE}JSON format: {{ "title": "your concise title here" }}\n### Examples:\n- {{ "title": "📉 Stocks" }},\n'
        f"{HISTORY}",
        {"title": "a lighthouse in a storm"},
    ),
    "tags": (
        "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history.\n\n### Output:\n"
        f'JSON format: {{ "tags": ["tag1", "tag2", "tag3"] }}\n\n{HISTORY}',
        {"tags": []},
    ),
    "follow-ups": (
        "### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might naturally ask next.\n"
        "### Output:\n"
        f'JSON format: {{ "follow_ups": ["Question 1?", "Question 2?"] }}\n{HISTORY}',
        {"follow_ups": []},
    ),
    "queries": (
        "### Task:\nAnalyze the chat history to determine the necessity of generating search queries.\n### Output:\n"
        'Strictly return in JSON format: \n{\n  "queries": ["query1", "query2"]\n}\n\n' + HISTORY,
        {"queries": []},
    ),
    "the prompt of a picture": (
        "### Task:\nGenerate a detailed prompt for am image generation task based on the given language.\n\n"
        '### Output:\nStrictly return in JSON format:\n{\n    "prompt": "Your detailed description here."\n}\n\n'
        + HISTORY,
        {"prompt": "a lighthouse in a storm at night"},
    ),
    "the end of a line": (
        "### Task:\nYou are an autocompletion system. Continue the text in `<text>` based on the **completion type**.\n"
        '### **Output**:\n### Output:\n{ "text": "<your_completion>" }\n<text>a ligh</text>',
        {"text": ""},
    ),
}
LIBRECHAT = (
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return the title "
    "itself.\n\nConversation:\nUser: a lighthouse in a storm at night\nAI: ![x](y)"
)
LIBRECHAT_STRUCTURED = (
    "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title in the "
    "detected language (5 words or less, no punctuation or quotation)\n\nUser: a lighthouse in a storm at night\nAI: ok"
)
LOBEHUB = (
    "You are a professional conversation summarizer. Generate a concise title that captures the essence of the "
    "conversation.\n\nRules:\n- Output ONLY the title text"
)
SCHEMA = {"type": "object", "properties": {"language": {"type": "string"}, "title": {"type": "string"}}}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    # Without a ComfyUI: whatever tried to paint would fail.
    async with served(tmp_path, NOWHERE) as client:
        yield client


async def answered(http: httpx.AsyncClient, asked: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(PATH, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]


@pytest.mark.parametrize("task", TASKS)
async def test_open_webuis_tasks_are_answered_in_the_json_that_they_ask_for(http: httpx.AsyncClient, task: str) -> None:
    prompt, expected = TASKS[task]
    choice = await answered(http, body(prompt, "workflow/txt2img"))
    assert json.loads(choice["message"]["content"]) == expected


async def test_titles_are_the_first_words_that_the_person_said(http: httpx.AsyncClient) -> None:
    plain = f"{TITLE}Return ONLY the title text, nothing else.\n{HISTORY}"
    lobehub = [
        {"role": "system", "content": LOBEHUB},
        {"role": "user", "content": "user: a lighthouse in a storm at night\nassistant: ![x](y)"},
    ]
    for asked in (
        body(plain, "workflow/txt2img"),
        body(LIBRECHAT, "workflow/txt2img"),
        {"model": "workflow/txt2img", "messages": lobehub},
    ):
        assert (await answered(http, asked))["message"]["content"] == "a lighthouse in a storm"


async def test_structured_titles_come_as_json_or_as_a_call(http: httpx.AsyncClient) -> None:
    format = {"type": "json_schema", "json_schema": {"name": "extract", "schema": SCHEMA}}
    choice = await answered(http, body(LIBRECHAT_STRUCTURED, "workflow/txt2img", response_format=format))
    expected = {"language": "English", "title": "a lighthouse in a storm"}
    assert json.loads(choice["message"]["content"]) == expected
    tool: Any = {"type": "function", "function": {"name": "extract", "parameters": SCHEMA}}
    messages: Any = said(LIBRECHAT_STRUCTURED)
    async with openai_client(http) as client:
        answer = await client.chat.completions.create(model="workflow/txt2img", messages=messages, tools=[tool])
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function" and json.loads(call.function.arguments) == expected
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "text", ["### Task:\nRespond to the user query using the provided context.\n\na cat", "a title, painted"]
)
async def test_a_message_of_the_conversation_is_none_of_these(http: httpx.AsyncClient, text: str) -> None:
    assert (await http.post(PATH, json=body(text, "workflow/txt2img"))).status_code == 503


async def test_a_language_model_is_asked_for_them(tmp_path: Path) -> None:
    async with over_text(tmp_path) as (http, _):
        assert (await answered(http, body(LIBRECHAT)))["message"]["content"].startswith("alpha on Provide")


async def test_a_hostile_task_takes_no_time(http: httpx.AsyncClient) -> None:
    for filling in ("\n" * 900_000, "user " * 200_000, '"a" ' * 200_000, "### Output:" * 80_000):
        began = time.monotonic()
        await answered(http, body(f"### Task:\ntitle {filling}", "workflow/txt2img"))
        assert time.monotonic() - began < 5
