"""What is refused of the values of chats and comparisons, in plain words that name the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.ui import words_in
from comfy_mcp.workbench.chat_values import chat_values, described_chat
from comfy_mcp.workbench.comparison_values import comparison_values
from llm_bridge.messages import Image

CELLS: Mapping[str, Any] = {"models": ["alpha"], "prompts": ["the sea"]}


@pytest.mark.parametrize(
    ("values", "parameter", "told"),
    [
        ({}, "prompt", "prompt is missing. Give it."),
        ({"promt": "hi"}, "promt", "A chat has no parameter 'promt'. Nearest: prompt."),
        ({"prompt": " \n\t"}, "prompt", "prompt is empty. Mend it, or leave it out."),
        ({"prompt": "x", "temperature": "hot"}, "temperature", "temperature is not a number."),
        ({"prompt": "x", "temperature": 7}, "temperature", "temperature is not at most 5."),
        ({"prompt": "x", "temperature": float("nan")}, "temperature", "temperature is not a"),
        ({"prompt": "x", "top_p": 0}, "top_p", "top_p is not more than 0."),
        ({"prompt": "x", "seed": 1.5}, "seed", "seed is not a whole number."),
        ({"prompt": "x", "seed": "many"}, "seed", "seed is not a whole number."),
        ({"prompt": "x", "think": "perhaps"}, "think", "think is neither true nor false."),
        ({"prompt": "x", "model": 5}, "model", "model is not a text."),
        ({"prompt": "x", "model": "a" * 300}, "model", "model is longer than 256 characters."),
        ({"prompt": "x", "stop": 5}, "stop", "stop is not a list."),
        ({"prompt": "x", "stop": ["a", 5]}, "stop", "stop, entry 2 is not a text."),
        ({"prompt": "x", "stop": ["a"] * 17}, "stop", "stop has more than 16 entries."),
        ({"prompt": "x", "schema": "{"}, "schema", "schema is not JSON."),
        ({"prompt": "x", "schema": "[1]"}, "schema", "schema is not an object."),
    ],
)
def test_what_a_chat_does_not_take_is_refused_in_plain_words(values: dict[str, Any], parameter: str, told: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        chat_values(values)
    assert (refused.value.parameter, str(refused.value).startswith(told)) == (parameter, True), str(refused.value)


@pytest.mark.parametrize(
    ("values", "parameter", "told"),
    [
        ({"prompts": [5]}, "prompts", 'prompts, entry 1 is neither a text nor an object with a "text".'),
        ({"prompts": ["a", " "]}, "prompts", "prompts, entry 2, text is empty."),
        ({"prompts": [{"txt": "a"}]}, "prompts", "prompts, entry 1 has no 'txt'."),
        ({"prompts": [{"text": "a", "images": [1]}]}, "prompts", "prompts, entry 1, images, entry 1 is not a text."),
        ({"prompts": []}, "prompts", "prompts is empty."),
        ({"models": "alpha"}, "models", "models is not a list."),
        ({"judge": "alpha"}, "judge", "judge is not an object."),
        ({"judge": {"modell": "alpha"}}, "judge", "judge has no 'modell'."),
        ({"repeats": 101}, "repeats", "repeats is not at most 100."),
        ({"paramters": "seed=1"}, "paramters", "A comparison has no parameter 'paramters'. Nearest: parameters"),
    ],
)
def test_what_a_comparison_does_not_take_is_refused_in_plain_words(
    values: dict[str, Any], parameter: str, told: str
) -> None:
    with pytest.raises(InvalidParameter) as refused:
        comparison_values({**CELLS, **values})
    assert (refused.value.parameter, str(refused.value).startswith(told)) == (parameter, True), str(refused.value)


@pytest.mark.parametrize(("given", "taken"), [("END", ("END",)), (["a", "b"], ("a", "b")), ("", ()), ([], ())])
def test_one_text_may_end_the_answer_or_several(given: Any, taken: tuple[str, ...]) -> None:
    assert chat_values({"prompt": "x", "stop": given}).request().sampling.stop == taken


def test_a_schema_is_an_object_or_its_text() -> None:
    for given in ({"type": "object"}, '{"type": "object"}'):
        assert chat_values({"prompt": "x", "schema": given}).request().schema == {"type": "object"}


async def test_a_prompt_of_a_comparison_is_a_text_or_more() -> None:
    async def picture(name: str) -> Image:
        return Image(name.encode(), "image/png")

    asked = {**CELLS, "prompts": ["the sea", {"text": "the moon", "name": "moon", "images": ["a"]}]}
    made = await comparison_values(asked).comparison(picture)
    assert [(each.name, each.text) for each in made.prompts] == [("1. the sea", "the sea"), ("moon", "the moon")]


def test_a_chat_is_described_as_a_template_is() -> None:
    told = described_chat(["llm/alpha"])
    parameters = {each["name"]: each for each in told["parameters"]}
    assert told["id"] == "chat" and not told["style"]
    assert [name for name, each in parameters.items() if each["required"]] == ["prompt"]
    assert (parameters["model"]["default"], parameters["model"]["choices"]) == ("auto", ["auto", "llm/alpha"])
    assert [parameters["temperature"][part] for part in ("type", "min", "max")] == ["float", 0.0, 5.0]
    assert {parameters[name]["type"] for name in ("seed", "image", "think")} == {"seed", "image", "bool"}
    words = words_in("zh")
    assert parameters["max_tokens"]["label"] == "Longest answer"
    said = {
        told["title"],
        told["description"],
        *(each[part] for each in told["parameters"] for part in ("label", "help")),
    }
    assert sorted(said) == sorted(text for text in said if text in words)
    assert "schema" in parameters and all(each["help"] for each in told["parameters"])
