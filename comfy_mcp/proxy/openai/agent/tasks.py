"""What chat front ends ask a model beside the conversation: a title, tags, follow-ups, the end of a line.

Owns how such a request is told from a message, by the words that the front ends send, and a cheap answer to it: with a
workflow as the model, each of them would paint a picture. An administrator who writes prompts of their own for these
should name another model for them, as all of these front ends allow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from comfy_mcp.proxy.openai.agent.options import without_options
from llm_bridge.chat import ChatRequest, Done, Event, Text, ToolCallPiece, Usage

__all__ = ["NO_TOKENS", "side_answer"]

NO_TOKENS = Usage(0, 0)
"""Nobody counts tokens where no language model answers; clients read numbers all the same."""

# backend/open_webui/config.py: DEFAULT_TITLE_GENERATION_PROMPT_TEMPLATE and the others. What it puts before a message
# that documents were found for begins like them.
_OPEN_WEBUI, _OPEN_WEBUI_ANSWER = "### Task:", "### Task:\nRespond to the user query"
_USERS = (
    # danny-avila/agents, src/utils/title.ts
    "Provide a concise, 5-word-or-less title for the conversation",
    "Analyze this conversation and provide:\n1. The detected language",
    # danny-avila/LibreChat, api/app/clients/prompts/titlePrompts.js
    "Detect user language and write in the same language an extremely concise title",
    # backend/open_webui/config.py, DEFAULT_EMOJI_GENERATION_PROMPT_TEMPLATE
    "Your task is to reflect the speaker's likely facial expression",
)
_SYSTEMS = (
    # lobehub/lobe-chat, packages/prompts/src/chains/summaryTitle.ts and summaryHistory.ts
    "You are a professional conversation summarizer",
    "You're an assistant who's good at extracting key takeaways from conversations",
)
_SAID = re.compile(r"^[^\w\n]{0,8}(?:user|human)[^\w\n]{0,8}: *(.+)$", re.IGNORECASE | re.MULTILINE)
_OUTPUT = re.compile(r"### Output:(.*?)(?:\n###|\Z)", re.DOTALL)
_FIELD = re.compile(r'"(\w+)"\s*:')
_LISTS = ("tags", "follow_ups", "queries")
_MOST_WORDS, _MOST_LETTERS = 5, 50


def side_answer(chat: ChatRequest) -> list[Event] | None:
    """The answer to what a front end asks for itself; None for a message of the conversation."""
    user = next((message.text for message in reversed(chat.messages) if message.role == "user"), "").strip()
    system = "".join(message.text for message in chat.messages if message.role == "system").strip()
    if user.startswith(_OPEN_WEBUI) and not user.startswith(_OPEN_WEBUI_ANSWER):
        return [Text(_open_webui(user)), Done("stop", NO_TOKENS)]
    if not user.startswith(_USERS) and not system.startswith(_SYSTEMS):
        return None
    title = _title(user)
    if chat.tools:
        tool = chat.tools[0]
        arguments = json.dumps(_fields(tool.parameters.get("properties", {}), title))
        return [ToolCallPiece(0, arguments, name=tool.name), Done("tool_calls", NO_TOKENS)]
    if chat.schema is not None:
        title = json.dumps(_fields(chat.schema.get("properties", {}), title), ensure_ascii=False)
    return [Text(title), Done("stop", NO_TOKENS)]


def _open_webui(task: str) -> str:
    """In the JSON that the task shows, if it shows one."""
    output = found[1] if (found := _OUTPUT.search(task)) else ""
    field = _FIELD.search(output)
    if field is None:
        return _title(task) if "title" in task.partition("### ")[2].partition("###")[0] else ""
    name = field[1]
    told = {"title": _title(task), "prompt": _request(task)}
    value: Any = [] if name in _LISTS else told.get(name, "")
    return json.dumps({name: value}, ensure_ascii=False)


def _fields(names: Iterable[str], title: str) -> dict[str, str]:
    return {name: {"title": title, "language": "English"}.get(name, "") for name in names}


def _request(task: str) -> str:
    """What the person asked for first, as far as the task quotes it."""
    said = _SAID.findall(task)
    return without_options(said[0]) if said else ""


def _title(task: str) -> str:
    words = re.findall(r"[\w'’-]+", _request(task))[:_MOST_WORDS]
    return " ".join(words)[:_MOST_LETTERS].strip() or "Pictures"
