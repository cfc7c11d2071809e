"""Workflows that answer text, with or without a picture, in ComfyUI with our nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.proxy.openai.agent.words import as_text, refusal
from comfy_mcp.workflows import Catalogue, shipped_folder
from tests.nodes.shipping import running_pack
from tests.proxy.openai.chatting import PATH, body, chunks, content, stream_of
from tests.texts import CHAT, models_asked, says, text_server
from tests.workbenches import served


async def test_a_workflow_of_language_models_answers_their_texts(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with text_server(("alpha", "beta")) as script:
        script.on(CHAT, lambda received: says(f"{received.json['model']} says yes"))
        with running_pack(tmp_path_factory.mktemp("custom_nodes"), script.url) as comfyui:
            async with served(tmp_path, comfyui) as http:
                answer = await http.post(PATH, json=body("Is it so? --models alpha", "workflow/compare_models"))
                assert answer.status_code == 200, answer.text
                text = answer.json()["choices"][0]["message"]["content"]
                told = await stream_of(
                    http, body("a house --steps 2 --width 64 --height 64", "workflow/expand_and_paint")
                )
    assert "alpha says yes" in text and "beta says" not in text
    assert models_asked(script)[0] == "alpha"
    assert content(told).startswith("![a house](http://")
    assert chunks(told)[-1]["choices"][0]["finish_reason"] == "stop"


HOSTILE: dict[str, str] = {
    "a picture": "Look: ![a cat](https://evil/?seen)",
    "a picture that is escaped already": r"Look: \![a cat](https://evil/) \\![a](https://evil/)",
    "a picture by name": "Look: ![a cat][x]\n\n[x]: https://evil/",
    "a link": "Look: [a cat](https://evil/ 'title') <https://evil/>",
    "HTML": "Look: <img src='https://evil/'> <script>0</script>\n\n<div>\n![a](https://evil/)\n</div>",
    "code that is left": "```html\n<img>\n```\n![a cat](https://evil/)",
    "code that is left early": "````\n```\n![a](https://evil/)\n````\n![a cat](https://evil/)",
    "code that is left in another way": "~~~\n```\n![a](https://evil/)\n~~~\n![a cat](https://evil/)",
    "code in a list that ends with it": "- a\n  ```\n![a cat](https://evil/)\n  ```",
    "code in a quotation": "> ```\n![a cat](https://evil/)\n> ```",
    "code far in": "    ```\n![a cat](https://evil/)\n    ```",
    "code without an end": "```mermaid\n![a](https://evil/)",
    "other ends of lines": "```\r![a](https://evil/)\r```\r![a cat](https://evil/)",
    "a span of code": "`a` ``![b](https://evil/)`` `![a cat](https://evil/)",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_model_writes_loads_nothing_and_leads_nowhere(name: str) -> None:
    written = HOSTILE[name]
    shown = MarkdownIt("commonmark", {"html": True}).render(f"Before.\n\n{as_text(written)}\n\nThe ![end](here).")
    assert re.findall(r"<(?:a|div|script|img)\b[^>]*>", shown) == ['<img src="here" alt="end" />'], shown
    assert "language-mermaid" not in shown and "language-html" not in shown
    assert "evil" in shown


def test_what_a_model_writes_stays_readable() -> None:
    written = "It is *a cat*! Isn't it?\n\n1 & 2 > 0, a_b\n\n| a | b |\n| - | - |\n\n```text\n![a](b)\n```\n"
    assert as_text(written).split() == written.split()
    window = as_text(":::artifact{type='text/html'}")
    assert window == r"\:::artifact{type='text/html'}"


async def test_what_the_models_of_a_workflow_write_is_told_so(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with text_server(("alpha",)) as script:
        script.on(CHAT, lambda received: says("\n".join(HOSTILE.values())))
        with running_pack(tmp_path_factory.mktemp("custom_nodes"), script.url) as comfyui:
            async with served(tmp_path, comfyui) as http:
                answer = await http.post(PATH, json=body("Is it so? --models alpha", "workflow/compare_models"))
    shown = MarkdownIt("commonmark", {"html": True}).render(answer.json()["choices"][0]["message"]["content"])
    pictures = re.findall(r"<img src=\"([^\"]*)", shown)
    assert pictures and not any("evil" in picture for picture in pictures)
    assert "evil" in shown and "<script" not in shown and "<a " not in shown


def test_what_was_refused_is_told_as_text() -> None:
    template = Catalogue.load([shipped_folder()]).get("txt2img")
    failure = InvalidParameter("a", "a cannot be '![x](https://evil/) <img src=x>'.", hint="Write `--a 1`\n\n![y](z)")
    told = refusal(failure, template, edits=False)
    assert told.splitlines()[0] == (r"a cannot be '!\[x\](https://evil/) \<img src=x>'. Write `--a 1` !\[y\](z)")
