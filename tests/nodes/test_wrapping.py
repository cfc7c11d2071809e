"""What is taken off an answer, and that answers that are nonsense hold up nobody."""

from __future__ import annotations

import time
from itertools import product
from threading import current_thread
from typing import Any

import numpy
import pytest

from comfy_nodes import expanding
from comfy_nodes.nodes import captions
from comfy_nodes.nodes.captions import CaptionImages
from comfy_nodes.nodes.prompts import PromptExpander
from comfy_nodes.wrapping import bare
from tests.nodes.conftest import SetUp
from tests.texts import CHAT, says, text_server


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("a red fox", "a red fox"),
        ('"a red fox"', "a red fox"),
        ("“a red fox”", "a red fox"),
        ("```text\na red fox\n```", "a red fox"),
        ("Here you go:\n```\na red fox\n```\nEnjoy!", "a red fox"),
        ("Certainly! Here's the prompt: a red fox", "a red fox"),
        ("Final prompt: **a red fox**", "a red fox"),
        ("**Caption:** a red fox", "a red fox"),
        ("a red fox\n\nLet me know if you want another one.", "a red fox"),
        ('"Fox" and "dog" on a sign', '"Fox" and "dog" on a sign'),
        ("'tis a fox", "'tis a fox"),
        ("Here is a fox, there is none", "Here is a fox, there is none"),
        ("okay-looking fox", "okay-looking fox"),
        ("a fox: red, white", "a fox: red, white"),
        ("a red fox\n\n\n \nFeel free to ask.\n\nBye.", "a red fox"),
        ("a red fox\r\n\r\nI hope it fits.", "a red fox"),
        ("```\na red fox   ```", "a red fox"),
        ("a red fox\n\nLet me knowingly go", "a red fox\n\nLet me knowingly go"),
        ("", ""),
    ],
)
def test_what_chatty_models_put_around_an_answer_is_taken_off(text: str, inner: str) -> None:
    assert bare(text) == inner


BEGINNINGS = ("", "a", "```\n", "```", "sure", "sure!", "here is", "prompt", "**prompt:", '"', "#", "```\n```")
PIECES = (
    *("\n", " ", "`", '"', "'", "*", "#", "_", "\t", "!", "\r\n", "\n \n", "\n\x0b", "```\n", "``` ", "```a"),
    *("prompt: ", "**prompt: ", "final ", "sure! ", "here is ", "\n\nlet me kno", "“", "negative "),
)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("letters", [200_000, 1_000_000])
def test_a_long_answer_of_nothing_but_one_thing_is_read_in_no_time(piece: str, letters: int) -> None:
    for beginning, end in product(BEGINNINGS, ("", "b", '"')):
        text = (beginning + piece * letters)[: letters - len(end)] + end
        begun = time.process_time()
        bare(text)
        assert time.process_time() - begun < 0.2, (beginning, end)


def test_labels_in_labels_are_taken_off_a_few_times_only() -> None:
    assert bare("Prompt: caption: **Tags:** a fox") == "a fox"
    assert bare("prompt: " * 100 + "a fox").endswith("prompt: a fox")


@pytest.mark.parametrize("answer", ['{"prompt": "a fox"}', "a fox"])
async def test_answers_are_looked_into_beside_the_loop_that_all_nodes_share(
    set_up: SetUp, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    threads: list[str] = []

    def noted(text: str) -> str:
        threads.append(current_thread().name)
        return bare(text)

    told: dict[str, Any] = {"model": "alpha", "seed": 1, "temperature": 0.2, "max_tokens": 9}
    for module in (expanding, captions):
        monkeypatch.setattr(module, "bare", noted)
    async with text_server() as script:
        script.on(CHAT, says(answer))
        set_up(script.url)
        await PromptExpander().expand(idea="a fox", style="Short", variants=1, **told)
        await CaptionImages().caption(images=numpy.zeros((1, 4, 4, 3), "float32"), style="Caption", **told)
    assert len(threads) >= 3 and not {"llm-bridge", current_thread().name} & set(threads)
