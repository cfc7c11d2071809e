"""Prompts of a text that is in no file: the same forms, and no way to a picture of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_bridge.compare import Prompt, prompts_of, read_prompts
from llm_bridge.compare.files import FORMS
from llm_bridge.errors import BadInput

TEXTS = {
    "txt": "One?\r\nTwo?\n",
    "jsonl": '{"prompt": "One?"}\n{"prompt": "Two?"}',
    "csv": "prompt\nOne?\nTwo?\n",
    "toml": '[[prompt]]\nprompt = "One?"\n[[prompt]]\nprompt = "Two?"\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_text_is_read_as_a_file_of_its_form(form: str, tmp_path: Path) -> None:
    file = tmp_path / f"prompts.{form}"
    file.write_bytes(TEXTS[form].encode())
    asked = (Prompt("prompt 1", "One?"), Prompt("prompt 2", "Two?"))
    assert prompts_of(TEXTS[form], form) == read_prompts(file) == asked


@pytest.mark.parametrize("path", ["/etc/passwd", "../fox.png", "fox.png"])
def test_a_text_names_no_picture(path: str) -> None:
    with pytest.raises(BadInput, match=r"line 1: images can only be named in a file"):
        prompts_of(f'{{"prompt": "What is this?", "images": ["{path}"]}}', "jsonl")


def test_a_text_without_a_prompt_is_refused() -> None:
    with pytest.raises(BadInput, match="holds no prompt"):
        prompts_of(" \n\n")
