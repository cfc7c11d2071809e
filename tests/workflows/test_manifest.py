"""The file format of a manifest: what is refused and how it is said, and that nothing is lost in writing one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from comfy_mcp.errors import TemplateError
from comfy_mcp.workflows import Bind, Manifest, Parameter, read_manifest, write_manifest
from comfy_mcp.workflows.manifest import manifest_from
from tests.workflows.samples import NAMES, SHIPPED, unhurried

HEAD = 'title = "T"\ndescription = "D"\n'
TEXT = '[parameters.a]\ntype = "text"\nbind = "A#1.x"\n'
INT = '[parameters.a]\ntype = "int"\nbind = "A#1.x"\n'

BROKEN: dict[str, tuple[str, str]] = {
    "not TOML": ("title =", "is not TOML"),
    "brackets without end": ("a = " + "[" * 5000, "is not TOML"),
    "a number of 5000 digits": (f"{HEAD}timeout = {'9' * 5000}", "is not TOML|timeout"),
    "no title": ('description = "D"', "title: is missing"),
    "empty title": ('title = ""\ndescription = "D"', "title"),
    "title of two lines": ('title = "a\\nb"\ndescription = "D"', "title"),
    "title is a number": ('title = 5\ndescription = "D"', "title"),
    "no description": ('title = "T"', "description: is missing"),
    "misspelt key": (f"{HEAD}keep_in_comfy = true", "keep_in_comfy: there is no such key; nearest: keep_in_comfyui"),
    "truth as text": (f'{HEAD}keep_in_comfyui = "yes"', "keep_in_comfyui"),
    "unknown capture": (f'{HEAD}capture = "disk"', "capture"),
    "no time at all": (f"{HEAD}timeout = 0", "timeout"),
    "endless": (f"{HEAD}timeout = inf", "timeout"),
    "time as truth": (f"{HEAD}timeout = true", "timeout"),
    "parameters are a list": (f"{HEAD}parameters = [1]", "parameters"),
    "name in capitals": (f"{HEAD}{TEXT}".replace("parameters.a", "parameters.Steps"), "'Steps'"),
    "name too long": (f"{HEAD}{TEXT}".replace("parameters.a", "parameters." + "a" * 33), "32 lower-case"),
    "reserved name": (f"{HEAD}{TEXT}".replace("parameters.a", "parameters.style"), "'style' is reserved"),
    "no type": (f'{HEAD}[parameters.a]\nbind = "A#1.x"', "parameters.a.type: is missing"),
    "unknown type": (f"{HEAD}{TEXT}".replace('"text"', '"string"'), "parameters.a.type"),
    "no bind": (f'{HEAD}[parameters.a]\ntype = "text"', "parameters.a.bind: is missing"),
    "empty bind": (f"{HEAD}{TEXT}".replace('"A#1.x"', "[]"), "parameters.a.bind"),
    "bind without class": (f"{HEAD}{TEXT}".replace("A#1.x", "1.x"), "parameters.a.bind.*KSampler#3.steps"),
    "bind without node": (f"{HEAD}{TEXT}".replace("A#1.x", "A#.x"), "parameters.a.bind"),
    "bind without input": (f"{HEAD}{TEXT}".replace("A#1.x", "A#1."), "parameters.a.bind"),
    "bind is a number": (f"{HEAD}{TEXT}".replace('"A#1.x"', "5"), "parameters.a.bind"),
    "bind twice": (f"{HEAD}{TEXT}".replace('"A#1.x"', '["A#1.x", "A#1.x"]'), "one place twice"),
    "two for one place": (f"{HEAD}{TEXT}{TEXT.replace('.a', '.b')}", "a and b are both bound to A#1.x"),
    "unknown key": (f"{HEAD}{TEXT}hint = 'x'", "parameters.a.hint: there is no such key"),
    "misspelt key of a parameter": (f"{HEAD}{INT}minn = 1", "parameters.a.minn: .*nearest: min"),
    "range of a text": (f"{HEAD}{TEXT}min = 1", "mean nothing for type text"),
    "range upside down": (f"{HEAD}{INT}min = 2\nmax = 1", "min is larger than max"),
    "broken range of int": (f"{HEAD}{INT}min = 0.5", "whole numbers"),
    "step of nothing": (f"{HEAD}{INT}step = 0", "parameters.a.step"),
    "range is a text": (f'{HEAD}{INT}max = "9"', "parameters.a.max: must be a number"),
    "range is truth": (f"{HEAD}{INT}max = true", "parameters.a.max: must be a number"),
    "range is no number": (f"{HEAD}{INT}max = nan", "parameters.a.max"),
    "range of 65 bits": (f"{HEAD}{INT}max = {2**64}", "64 bits"),
    "seed with steps": (f"{HEAD}{INT}step = 2".replace('"int"', '"seed"'), "a seed has no step"),
    "default is a table": (f"{HEAD}{TEXT}default = {{ x = 1 }}", "parameters.a.default: must be a text"),
    "default is a date": (f"{HEAD}{TEXT}default = 2026-01-01", "parameters.a.default: must be a text"),
    "picture with default": (f"{HEAD}{TEXT}default = 'x'".replace('"text"', '"image"'), "cannot have a default"),
    "choices of a text": (f"{HEAD}{TEXT}choices = ['a']", "choices mean nothing"),
    "no choices": (f"{HEAD}{TEXT}".replace('"text"', '"enum"'), "needs either"),
    "empty choices": (f"{HEAD}{TEXT}choices = []".replace('"text"', '"enum"'), "choices"),
    "choices are numbers": (f"{HEAD}{TEXT}choices = [1]".replace('"text"', '"enum"'), "choices"),
    "choices twice": (f"{HEAD}{TEXT}choices = ['a', 'a']".replace('"text"', '"enum"'), "names one twice"),
    "choices from nowhere": (f"{HEAD}{TEXT}choices_from = 'KSampler'".replace('"text"', '"enum"'), "choices_from"),
    "choices from both": (
        f"{HEAD}{TEXT}choices = ['a']\nchoices_from = 'A.x'".replace('"text"', '"model"'),
        "needs either",
    ),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_says_which_key_and_why(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=told) as caught:
        read_manifest(path)
    assert caught.value.hint
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"title = '\xc3'", b"#" * (1 << 20) + b"#"])
def test_a_manifest_is_utf8_of_bounded_size(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "manifest.toml"
    path.write_bytes(data)
    with pytest.raises(TemplateError, match=r"manifest\.toml"):
        read_manifest(path)


def test_a_missing_manifest_or_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"no manifest\.toml"):
        read_manifest(tmp_path / "manifest.toml")
    with pytest.raises(TemplateError, match="no ordinary file"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("KSampler#3.steps", ("KSampler", "3", "steps")),
        ("CLIP Text#2 (pack)#12:5:1.text", ("CLIP Text#2 (pack)", "12:5:1", "text")),
        ("pack.Node|x#7.images.image0", ("pack.Node|x", "7", "images.image0")),
    ],
)
def test_a_bind_holds_class_node_and_input(text: str, parts: tuple[str, str, str]) -> None:
    bind = Bind.parse(text)
    assert isinstance(bind, Bind)
    assert (bind.class_type, bind.node, bind.input) == parts
    assert str(bind) == text


def test_a_bind_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(ValidationError):
        Bind(class_type="A", node="3.1", input="x")


def test_models_cannot_be_changed() -> None:
    parameter = SHIPPED.get("txt2img").parameters["steps"]
    with pytest.raises(ValidationError):
        parameter.default = 3


@pytest.mark.parametrize("name", NAMES)
def test_shipped_manifests_come_back_as_they_were_written(name: str) -> None:
    manifest = SHIPPED.get(name).manifest
    assert manifest_from(tomllib.loads(write_manifest(manifest))) == manifest


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
WHOLE = st.integers(-(2**63), 2**64 - 1)
NUMBERS = st.one_of(WHOLE, st.floats(-1e9, 1e9))
CLASSES = st.text("AZaz09 _|+()#", min_size=1, max_size=12)
INPUTS = st.sampled_from(["text", "seed", "images.image0", "a b", "ÿ"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """The body of a parameter, valid or nearly so."""
    kind = draw(st.sampled_from(["text", "int", "float", "bool", "enum", "seed", "image", "mask", "model"]))
    numbers = {"int": WHOLE, "seed": st.integers(0, 2**64 - 1), "float": NUMBERS}
    table: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {"type": st.just(kind)},
            optional={"label": LINES, "help": LINES, "group": LINES, "advanced": st.booleans()},
        )
    )
    if kind in numbers:
        low, high = sorted([draw(numbers[kind]), draw(numbers[kind])])
        table |= draw(st.fixed_dictionaries({}, optional={"min": st.just(low), "max": st.just(high)}))
        table |= draw(st.fixed_dictionaries({}, optional={"default": numbers[kind]}))
    elif kind in ("enum", "model"):
        names = st.lists(LINES.filter(bool), min_size=1, max_size=3, unique=True)
        table |= {"choices": draw(names)} if draw(st.booleans()) else {"choices_from": "A.b"}
    elif kind in ("text", "bool"):
        values = st.booleans() if kind == "bool" else st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
        table |= draw(st.fixed_dictionaries({}, optional={"default": values}))
    return table


@unhurried
@given(
    head=st.fixed_dictionaries(
        {"title": LINES.filter(bool), "description": LINES.filter(bool)},
        optional={
            "keep_in_comfyui": st.booleans(),
            "capture": st.sampled_from(["preview", "websocket"]),
            "timeout": st.one_of(st.integers(1, 604_800), st.floats(0.001, 604_800)),
        },
    ),
    bodies=st.lists(tables(), max_size=4),
    data=st.data(),
)
def test_every_manifest_round_trips(head: dict[str, Any], bodies: list[dict[str, Any]], data: st.DataObject) -> None:
    def bind(node: str) -> str:
        return f"{data.draw(CLASSES)}#{node}.{data.draw(INPUTS)}"

    parameters = {f"p{n}": {**body, "bind": [bind(f"{n}"), bind(f"{n}:5:1")]} for n, body in enumerate(bodies)}
    manifest = manifest_from({**head, "parameters": parameters})

    again = manifest_from(tomllib.loads(write_manifest(manifest)))

    assert again == manifest
    assert list(again.parameters) == list(manifest.parameters)
    assert [type(each.default) for each in again.parameters.values()] == [
        type(each.default) for each in manifest.parameters.values()
    ]


def test_what_must_be_given_and_what_is_found_by_itself() -> None:
    bind = (Bind(class_type="A", node="1", input="x"),)
    assert Parameter(type="text", bind=bind).required
    assert Parameter(type="image", bind=bind).required
    assert Parameter(type="enum", bind=bind, choices=("a",)).required
    assert not Parameter(type="enum", bind=bind, choices_from="A.x").required
    assert not Parameter(type="seed", bind=bind).required
    assert not Parameter(type="text", bind=bind, default="").required
    assert Manifest(title="T", description="D").parameters == {}
