"""The rules by which a folder is a template: one by one, on a small graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import TemplateError
from comfy_mcp.workflows.template import RESERVED_IDS, load_template
from tests.workflows.samples import MANIFEST, small, template_of, write_folder


@pytest.mark.parametrize(
    "name", ["Big", "1st", "_x", "a-b", "a b", "x" * 33, "my_mcp_tool", "ü", *sorted(RESERVED_IDS)]
)
def test_a_folder_name_that_cannot_be_a_tool_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load_template(write_folder(tmp_path / name))
    assert caught.value.hint and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "x" * 32, "sd_15", "mcp"])
def test_other_names_pass(tmp_path: Path, name: str) -> None:
    assert load_template(write_folder(tmp_path / name)).id == name


@pytest.mark.parametrize("missing", ["manifest.toml", "workflow.json"])
def test_both_files_are_needed(tmp_path: Path, missing: str) -> None:
    folder = write_folder(tmp_path / "small")
    (folder / missing).unlink()
    with pytest.raises(TemplateError, match=f"no {missing}") as caught:
        load_template(folder)
    assert caught.value.hint


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "small")
    (folder / "workflow.json").unlink()
    os.mkfifo(folder / "workflow.json")
    with pytest.raises(TemplateError, match="no ordinary file"):
        load_template(folder)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("Painter#9.text", "no node 9"),
        ("Loader#1.text", "node 1 is Painter, not Loader"),
        ("Painter#1.prompt", "no input 'prompt'"),
        ("Painter#1.source", "comes from another node"),
        ("Painter#1.size", "type text, but Painter#1.size holds int"),
    ],
)
def test_a_bind_must_fit_the_graph(tmp_path: Path, place: str, told: str) -> None:
    manifest = MANIFEST.replace("Painter#1.text", place)
    with pytest.raises(TemplateError, match=told) as caught:
        load_template(write_folder(tmp_path / "small", manifest))
    assert caught.value.hint
    assert "prompt" in caught.value.message


@pytest.mark.parametrize(
    ("kind", "literal", "fits"),
    [
        ("text", "a", True),
        ("text", 5, False),
        ("text", None, False),
        ("int", 5, True),
        ("int", 5.5, False),
        ("int", True, False),
        ("int", "5", False),
        ("float", 5, True),
        ("float", 5.5, True),
        ("float", False, False),
        ("bool", True, True),
        ("bool", 1, False),
        ("bool", "true", False),
        ("seed", 2**64 - 1, True),
        ("seed", 1.0, False),
        ("image", "x.png", True),
        ("image", 5, False),
        ("mask", "x.png", True),
        ("text", {"__value__": []}, False),
        ("int", {"__value__": [1]}, False),
    ],
)
def test_the_type_must_agree_with_what_stands_in_the_graph(tmp_path: Path, kind: str, literal: Any, fits: bool) -> None:
    graph = small()
    graph["1"]["inputs"]["x"] = literal
    told = f'[parameters.x]\ntype = "{kind}"\nbind = "Painter#1.x"\n'
    if fits:
        assert template_of(tmp_path, told, graph).parameters["x"].type == kind
    else:
        with pytest.raises(TemplateError, match=f"x is of type {kind}"):
            template_of(tmp_path, told, graph)


SIZE = '[parameters.size]\ntype = "int"\nbind = "Painter#1.size"\n'
CHOICE = '[parameters.file]\ntype = "enum"\nbind = "Loader#2.file"\nchoices = ["a.safetensors", "b.safetensors"]\n'


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (f"{SIZE}default = 5\nmin = 6\nmax = 70", "The default does not fit: size 5 is out of range"),
        (f"{SIZE}default = 71\nmax = 70", "The default does not fit"),
        (f"{SIZE}default = 20.5", "not a whole number"),
        (f'{SIZE}default = "20"', "a text, not of type int"),
        (f"{SIZE}default = true", "not a whole number"),
        (f"{SIZE}default = 65\nmin = 8\nstep = 8", "not on its steps of 8"),
        (f"{SIZE}max = 50", r"workflow\.json .*does not fit: size 64 is out of range"),
        (f"{SIZE}min = 65", r"workflow\.json .*does not fit"),
        (f"{SIZE}default = 7".replace('"int"', '"text"'), "type text"),
        (f'{CHOICE}default = "c.safetensors"', "unknown; nearest: "),
        ('[parameters.t]\ntype = "text"\nbind = "Loader#2.file"\ndefault = 5', "t is not a text"),
        ('[parameters.s]\ntype = "seed"\nbind = "Painter#1.size"\ndefault = -2', "out of range"),
        ('[parameters.s]\ntype = "seed"\nbind = "Painter#1.size"\ndefault = 1.5', "not a whole number"),
        ('[parameters.s]\ntype = "seed"\nbind = "Painter#1.size"\ndefault = 9\nmax = 8', "out of range"),
        ('[parameters.t]\ntype = "text"\nbind = "SaveImage#3.filename_prefix"\ndefault = "../x"', "plain file name"),
        (
            '[parameters.m]\ntype = "model"\nbind = "Loader#2.file"\nchoices_from = "L.f"\ndefault = "../x"',
            "plain name",
        ),
    ],
)
def test_defaults_and_ranges_must_fit(tmp_path: Path, told: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason) as caught:
        template_of(tmp_path, told)
    assert caught.value.hint


@pytest.mark.parametrize(
    "told",
    [
        f"{SIZE}default = 64\nmin = 8\nmax = 128\nstep = 8",
        f'{CHOICE}default = "b.safetensors"',
        '[parameters.s]\ntype = "seed"\nbind = "Painter#1.size"\ndefault = -1',
        '[parameters.f]\ntype = "float"\nbind = "Loader#2.strength"\ndefault = 1\nmin = 0\nmax = 2.0',
        '[parameters.b]\ntype = "bool"\nbind = "Loader#2.fast"\ndefault = true',
        '[parameters.m]\ntype = "model"\nbind = "Loader#2.file"\nchoices_from = "L.f"\ndefault = "SD\\\\x.ckpt"',
    ],
)
def test_what_fits_loads(tmp_path: Path, told: str) -> None:
    assert len(template_of(tmp_path, told).parameters) == 2


def test_a_graph_that_keeps_nothing_is_refused(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "x"}},
        "2": {"class_type": "KSampler", "inputs": {"positive": ["1", 0]}},
    }
    manifest = MANIFEST.replace("Painter#1", "CLIPTextEncode#1")
    with pytest.raises(TemplateError, match="no output node"):
        load_template(write_folder(tmp_path / "small", manifest, graph))
    graph["3"] = {"class_type": "SomebodysOutput", "inputs": {"x": ["2", 0]}}
    assert load_template(write_folder(tmp_path / "other", manifest, graph)).graph == graph


def test_a_template_knows_what_it_takes(tmp_path: Path) -> None:
    graph = small()
    graph["2"]["inputs"]["picture"] = "x.png"
    template = template_of(tmp_path, '[parameters.image]\ntype = "image"\nbind = "Loader#2.picture"\n', graph)
    assert template.required == ("prompt", "image")
    assert template.pictures == ("image",)
    assert template.takes_style
    assert (template.title, template.description, template.shipped) == ("Small", "A small one.", False)
    assert template.folder == tmp_path / "small"
