"""Workflows that answer text, with or without a picture, in ComfyUI with our nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

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
