"""Prompts from files: every form, what stands where when it is wrong, and images that stay in their folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.compare import Prompt, read_prompts
from llm_bridge.compare.files import MOST_BYTES
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image

PNG = b"\x89PNG\r\n\x1a\n rest"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With images of each kind in it and one beside it."""
    (tmp_path / "in" / "pictures").mkdir(parents=True)
    inside = tmp_path / "in"
    (inside / "a.png").write_bytes(PNG)
    (inside / "pictures" / "b.jpg").write_bytes(b"\xff\xd8\xff rest")
    (inside / "c.webp").write_bytes(b"RIFF1234WEBPVP8 ")
    (inside / "d.gif").write_bytes(b"GIF89a rest")
    (inside / "no.png").write_text("text")
    (tmp_path / "secret.png").write_bytes(PNG)
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    return inside


def read(folder: Path, name: str, content: str | bytes) -> tuple[Prompt, ...]:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_prompts(file)


def refused(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(BadInput) as error:
        read(folder, name, content)
    assert error.value.hint
    assert str(folder.parent) not in str(error.value)
    return error.value.message


def test_each_line_of_a_text_is_a_prompt(folder: Path) -> None:
    assert read(folder, "p.txt", "\ufeffOne?\r\n\r\n  Two?  \n") == (
        Prompt("prompt 1", "One?"),
        Prompt("prompt 2", "Two?"),
    )


def test_blocks_of_a_text_stand_between_dashes(folder: Path) -> None:
    read_ = read(folder, "p.txt", "---\nOne\n\n  more\n---\n\n--- \nTwo\n")
    assert [prompt.text for prompt in read_] == ["One\n\n  more", "Two"]


def test_json_lines_say_all(folder: Path) -> None:
    full = {"name": "n", "prompt": "p", "system": "s", "images": ["a.png", "pictures/b.jpg"], "expected": "e"}
    prompts = read(folder, "p.jsonl", json.dumps(full) + '\n\n{"prompt": "q", "system": null}\n')
    assert prompts == (
        Prompt("n", "p", "s", (Image(PNG), Image(b"\xff\xd8\xff rest", "image/jpeg")), "e"),
        Prompt("prompt 2", "q"),
    )


def test_csv_has_a_header_and_cells_over_several_lines(folder: Path) -> None:
    prompts = read(folder, "P.CSV", 'prompt, expected,images\n"One, and\nmore",e,c.webp; d.gif\n,,\nTwo\n')
    assert [prompt.text for prompt in prompts] == ["One, and\nmore", "Two"]
    assert prompts[0].expected == "e"
    assert [image.mime for image in prompts[0].images] == ["image/webp", "image/gif"]


def test_toml_has_a_table_for_each(folder: Path) -> None:
    text = '[[prompt]]\nname = "n"\nprompt = """\nOne\n"""\nimages = ["a.png"]\n[[prompt]]\nprompt = "Two"\n'
    assert read(folder, "p.toml", text) == (Prompt("n", "One", images=(Image(PNG),)), Prompt("prompt 2", "Two"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.md", "x", "p.md is no file of prompts."),
        ("p.txt", " \n", "p.txt holds no prompt."),
        ("p.txt", b"\xff\xfe", "p.txt is no UTF-8 text."),
        ("p.jsonl", '{"prompt": "x"}\n{', "p.jsonl, line 2: that is no JSON."),
        ("p.jsonl", "[]", "p.jsonl, line 1: that is no JSON object."),
        ("p.jsonl", '\n{"name": "x"}', "p.jsonl, line 2: there is no prompt."),
        ("p.jsonl", '{"prompt": 7}', "p.jsonl, line 1: prompt is no text."),
        (
            "p.jsonl",
            '{"prompt": "x", "modell": 1}',
            "p.jsonl, line 1: 'modell' is none of name, prompt, system, images, expected.",
        ),
        ("p.jsonl", '{"prompt": "x", "images": "a.png"}', "p.jsonl, line 1: images is no list of paths."),
        ("p.jsonl", '{"prompt": "x", "images": [7]}', "p.jsonl, line 1: images is no list of paths."),
        ("p.jsonl", '{"prompt": "x", "images": ["a\\u0000"]}', "p.jsonl, line 1: images is no list of paths."),
        ("p.jsonl", '{"name": "n", "prompt": "x"}\n' * 2, "p.jsonl, line 2: the name 'n' is taken by line 1."),
        ("p.csv", "prompt,wrong\nx,y\n", "p.csv, line 2: 'wrong' is none of name, prompt, system, images, expected."),
        ("p.csv", "prompt\n'a\nb',c\n", "p.csv, line 3: there are more cells than columns."),
        ("p.csv", 'prompt\n"a\nb\n', "p.csv, line 2: that is no CSV: unexpected end of data."),
        ("p.csv", "prompt,prompt\n", "p.csv, line 1: two columns have the same name."),
        ("p.toml", "prompt = ", "p.toml is no TOML: Invalid value (at end of document)."),
        ("p.toml", "prompt = 1", "p.toml has no list of prompts."),
        ("p.toml", "prompt = [1]", "p.toml, prompt 1: that is no table."),
        ("p.toml", "prompt = " + "[" * 5000, "p.toml is no TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Path, name: str, content: str | bytes, says: str) -> None:
    assert refused(folder, name, content).startswith(says)


@pytest.mark.parametrize(
    "path", ["../secret.png", "link.png", "/etc/passwd", "pictures/../../secret.png", "{}/../secret.png"]
)
def test_an_image_outside_the_folder_is_not_read(folder: Path, path: str) -> None:
    line = json.dumps({"prompt": "x", "images": [path.format(folder)]})
    assert refused(folder, "p.jsonl", line) == "p.jsonl, line 1: an image is outside the folder of the file."


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("gone.png", "the image 'gone.png' cannot be read"),
        ("pictures", "the image 'pictures' cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("no.png", "'no.png' is no PNG, JPEG, WebP or GIF"),
    ],
)
def test_an_image_that_is_none_is_told(folder: Path, path: str, says: str) -> None:
    assert says in refused(folder, "p.jsonl", json.dumps({"prompt": "x", "images": [path]}))


def test_files_have_a_largest_size(folder: Path) -> None:
    for name in ("p.txt", "big.png"):
        with (folder / name).open("wb") as file:
            file.truncate(MOST_BYTES + 1)
    with pytest.raises(BadInput, match=r"p\.txt is larger"):
        read_prompts(folder / "p.txt")
    assert "'big.png' is larger" in refused(folder, "p.jsonl", '{"prompt": "x", "images": ["big.png"]}')


def test_a_file_that_is_not_there_is_told_without_its_path(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^gone\.txt cannot be read: No such file") as error:
        read_prompts(folder / "gone.txt")
    assert os.sep not in error.value.message


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_json_lines_give_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("p")
    lines = "\n".join(json.dumps({"prompt": text}, ensure_ascii=False) for text in texts)
    assert [prompt.text for prompt in read(folder, "p.jsonl", lines)] == [text.strip() for text in texts]


@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.csv", "p.toml"])
@given(content=st.binary(max_size=60) | st.text(st.sampled_from("prompt,\"\n[]{}=:x'\0"), max_size=60).map(str.encode))
def test_any_content_is_prompts_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("p")
    try:
        prompts = read(folder, name, content)
    except BadInput as error:
        assert error.message.startswith(name)
    else:
        assert prompts
