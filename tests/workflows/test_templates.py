"""The shipped templates and styles, and the rules by which a folder is a template."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import NotFound, TemplateError
from comfy_mcp.workflows import Catalogue, Manifest, ObjectInfo, bind, check, shipped_folder, write_manifest
from comfy_mcp.workflows.manifest import manifest_from
from comfy_mcp.workflows.template import load_template, read_graph
from tests.data.record_object_info import recorded

SHIPPED = Catalogue.load([shipped_folder()])
NAMES = ("txt2img", "img2img", "inpaint", "upscale", "txt2img_lora", "txt2img_dit")


def offering(**files: list[str]) -> ObjectInfo:
    """The recorded ComfyUI with these files in the choices of the inputs that are named."""
    raw = recorded()
    for node in raw.values():
        for inputs in (node["input"].get("required", {}), node["input"].get("optional", {})):
            for name, spec in inputs.items():
                if name in files:
                    spec[0] = files[name]
    return ObjectInfo(raw)


FULL = offering(
    **{
        name: ["a.safetensors"]
        for name in ("ckpt_name", "lora_name", "vae_name", "unet_name", "clip_name1", "clip_name2")
    },
    model_name=["4x.pth"],
)


def test_everything_that_ships_loads() -> None:
    assert set(SHIPPED.templates) == set(NAMES)
    assert SHIPPED.diagnostics == ()
    assert len(SHIPPED.styles) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_template_fits_a_real_comfyui(name: str) -> None:
    template = SHIPPED.get(name)
    values = dict.fromkeys(template.required, "x")
    bound = bind(template, values, object_info=FULL)
    check(bound, FULL)
    for parameter, told in template.parameters.items():
        assert told.label and told.help, parameter


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_comes_back_as_it_was_written(name: str) -> None:
    manifest = SHIPPED.get(name).manifest
    assert manifest_from(tomllib.loads(write_manifest(manifest))) == manifest


@given(
    st.fixed_dictionaries(
        {
            "title": st.text("abc é漢\"'\\", min_size=1, max_size=20),
            "description": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60),
        },
        optional={"keep_in_comfyui": st.booleans(), "timeout": st.floats(0.1, 1e6), "capture": st.just("websocket")},
    ),
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True).filter(lambda name: name != "style"),
        st.one_of(
            st.fixed_dictionaries({"type": st.just("text"), "default": st.text('a"\\\n漢', max_size=9)}),
            st.fixed_dictionaries({"type": st.just("int"), "min": st.integers(-9, 0), "max": st.integers(1, 99)}),
            st.fixed_dictionaries({"type": st.just("bool"), "default": st.booleans()}),
            st.fixed_dictionaries(
                {"type": st.just("enum"), "choices": st.lists(st.text("ab", min_size=1), min_size=1)}
            ),
            st.fixed_dictionaries({"type": st.just("model"), "choices_from": st.just("Loader.file")}),
        ),
        max_size=4,
    ),
)
def test_every_manifest_round_trips(head: dict[str, Any], parameters: dict[str, dict[str, Any]]) -> None:
    told = {**head, "parameters": {name: {"bind": "Node#1:2.x", **body} for name, body in parameters.items()}}
    manifest = manifest_from(told)
    again = manifest_from(tomllib.loads(write_manifest(manifest)))
    assert again == manifest
    assert list(again.parameters) == list(manifest.parameters)


def test_styles_are_lived_in() -> None:
    parameters = {name for template in SHIPPED.templates.values() for name in template.parameters}
    for name, style in SHIPPED.styles.items():
        assert len(style.prompt) > 60 and style.negative, name
        assert set(style.overrides) <= parameters, name
        assert style.around("a fox.").count("a fox") == 1
    assert len({style.title for style in SHIPPED.styles.values()}) == len(SHIPPED.styles)


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(NotFound, match="txt2img"):
        SHIPPED.get("txt2image")
    with pytest.raises(NotFound, match="watercolor"):
        SHIPPED.style("watercolour")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_folder() / "txt2img", tmp_path / "mine"))


def change_manifest(folder: Path, old: str, new: str) -> None:
    path = folder / "manifest.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def change_graph(folder: Path, node: str, change: dict[str, Any] | None) -> None:
    path = folder / "workflow.json"
    graph = json.loads(path.read_text())
    if change is None:
        del graph[node]
    else:
        graph[node] |= change
    path.write_text(json.dumps(graph))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "Text to image"', "title =", "TOML"),
        ('title = "Text to image"', "titel = 1", "titel|title"),
        ('"CLIPTextEncode#6.text"', '"CLIPTextEncode#66.text"', "no node 66"),
        ('"CLIPTextEncode#6.text"', '"KSampler#6.text"', "not KSampler"),
        ('"CLIPTextEncode#6.text"', '"CLIPTextEncode#6.prompt"', "no input"),
        ('"CLIPTextEncode#6.text"', '"CLIPTextEncode#6.clip"', "another node"),
        ('"CLIPTextEncode#6.text"', '"CLIPTextEncode.text"', "prompt.bind"),
        ('type = "text"', 'type = "int"', "type int"),
        ("default = 25", "default = 0", "steps"),
        ("default = 25", "default = 2.5", "steps"),
        ("min = 1\nmax = 150", "min = 150\nmax = 1", "min is larger"),
        ("[parameters.prompt]", "[parameters.style]", "reserved"),
        ("[parameters.prompt]", "[parameters.Prompt]", "Prompt"),
        ('choices_from = "KSampler.scheduler"\n', "", "needs choices"),
    ],
)
def test_a_broken_manifest_says_what_is_wrong(folder: Path, old: str, new: str, told: str) -> None:
    change_manifest(folder, old, new)
    with pytest.raises(TemplateError, match=told) as caught:
        load_template(folder)
    assert caught.value.hint
    assert str(folder.parent) not in str(caught.value)


def test_a_broken_graph_says_what_is_wrong(folder: Path) -> None:
    change_graph(folder, "5", None)
    with pytest.raises(TemplateError, match="no node 5"):
        load_template(folder)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{", "not JSON"),
        (b"[]", "no graph"),
        (b"{}", "no graph"),
        (b'{"nodes": [], "links": []}', "canvas"),
        (b'{"1": {"class_type": "A"}}', "class_type and inputs"),
        (b'{"1": {"class_type": "A", "inputs": {"x": ["1", 0]}}}', "feed each other"),
        (
            b'{"1": {"class_type": "A", "inputs": {"x": ["2", 0]}}, '
            b'"2": {"class_type": "A", "inputs": {"x": ["1", 0]}}}',
            "feed",
        ),
        (b'{"1": {"class_type": "A", "inputs": {"x": ["9", 0]}}}', "no node 9"),
        (b'{"1": {"class_type": "A", "inputs": {"x": ["1"]}}}', "broken link"),
        (b'{"1": {"class_type": "A", "inputs": {"x": NaN}}}', "NaN"),
        (b'{"1": {"class_type": "A", "inputs": {}}, "1": {"class_type": "B", "inputs": {}}}', "twice"),
        (b" " * (4 << 20) + b"{}", "4 MiB"),
    ],
    ids=range(12),
)
def test_a_graph_that_cannot_be_used_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(TemplateError, match=told):
        read_graph(data)


def test_a_deep_graph_is_no_trouble() -> None:
    chain = {str(n): {"class_type": "A", "inputs": {"x": [str(n + 1), 0]} if n < 1999 else {}} for n in range(2000)}
    assert len(read_graph(json.dumps(chain).encode())) == 2000


@pytest.mark.parametrize("name", ["Big", "1st", "a-b", "x" * 33, "get_result", "my_mcp_tool"])
def test_a_folder_name_that_is_no_tool_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(TemplateError):
        load_template(folder.rename(folder.parent / name))


def test_a_bad_folder_is_a_diagnostic_and_an_own_one_replaces_a_shipped_one(folder: Path) -> None:
    own = folder.parent
    shutil.copytree(folder, own / "txt2img")
    change_manifest(folder, "default = 25", "default = 0")
    (own / "styles.toml").write_text('[dreamy]\ntitle = "Dreamy"\nprompt = "dreamy {prompt}"\n')
    before = Catalogue.fingerprint([shipped_folder(), own])

    catalogue = Catalogue.load([shipped_folder(), own])

    assert set(catalogue.templates) == set(NAMES)
    assert not catalogue.get("txt2img").shipped and catalogue.get("img2img").shipped
    assert [(each.template, each.fatal) for each in catalogue.diagnostics] == [("mine", True), ("txt2img", False)]
    assert catalogue.style("dreamy").around("sea") == "dreamy sea"
    assert catalogue.fingerprint_seen == before
    change_manifest(folder, "default = 0", "default = 250")
    assert Catalogue.fingerprint([shipped_folder(), own]) != before


def test_the_manifest_model_is_public() -> None:
    assert Manifest(title="t", description="d").parameters == {}
