"""The rules of the canvas format, one by one, on graphs made by hand."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfy_mcp.errors import ConversionError, TemplateError, WorkbenchError
from comfy_mcp.workflows import Catalogue, ObjectInfo, import_workflow, write_template
from comfy_mcp.workflows.importer.convert import convert
from tests.data.record_object_info import recorded

INFO = ObjectInfo(recorded())


def node(
    number: int, kind: str, *, widgets: Any = (), inputs: Any = (), outputs: Any = (), mode: int = 0
) -> dict[str, Any]:
    return {
        "id": number,
        "type": kind,
        "mode": mode,
        "inputs": [{"name": name, "type": told, "link": link} for name, told, link in inputs],
        "outputs": [{"name": told, "type": told} for told in outputs],
        "widgets_values": widgets if isinstance(widgets, dict) else list(widgets),
    }


def canvas(*nodes: dict[str, Any], links: Any = (), **more: Any) -> dict[str, Any]:
    return {"nodes": list(nodes), "links": [list(link) for link in links], "version": 0.4, **more}


def empty_image(number: int, **more: Any) -> dict[str, Any]:
    return node(number, "EmptyImage", widgets=(64, 32, 1, 255), outputs=("IMAGE",), **more)


def save(number: int, link: int | None) -> dict[str, Any]:
    return node(number, "SaveImage", widgets=("x",), inputs=(("images", "IMAGE", link),))


def converted(workflow: dict[str, Any]) -> dict[str, Any]:
    return {key: content["inputs"] for key, content in convert(workflow, INFO)[0].items()}


def test_widgets_are_counted_with_the_control_after_the_seed() -> None:
    sampler = node(3, "KSampler", widgets=(7, "randomize", 20, 8, "euler", "karras", 0.5))
    (inputs,) = converted(canvas(sampler)).values()
    assert inputs == {"seed": 7, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "karras", "denoise": 0.5}


def test_a_linked_widget_keeps_its_place() -> None:
    sampler = node(3, "KSampler", widgets=(7, True, 20, 8, "euler", "karras", 0.5), inputs=(("steps", "INT", 1),))
    source = node(4, "PrimitiveInt", widgets=(33, "fixed"), outputs=("INT",))
    inputs = converted(canvas(sampler, source, links=[(1, 4, 0, 3, 0, "INT")]))["3"]
    assert (inputs["steps"], inputs["cfg"], inputs["denoise"]) == (["4", 0], 8, 0.5)


def test_missing_widgets_get_their_default_and_surplus_ones_are_dropped() -> None:
    assert converted(canvas(node(1, "EmptyImage", widgets=(64,))))["1"] == {
        "width": 64,
        "height": 512,
        "batch_size": 1,
        "color": 0,
    }
    assert converted(canvas(node(1, "LoadImage", widgets=("a.png", "image"))))["1"] == {"image": "a.png"}


def test_widgets_can_be_named() -> None:
    assert converted(canvas(node(1, "EmptyImage", widgets={"height": 9})))["1"]["height"] == 9


def test_a_primitive_is_a_value_and_a_reroute_a_link() -> None:
    workflow = canvas(
        empty_image(1, inputs=(("width", "INT", 1),)),
        node(2, "PrimitiveNode", widgets=(96, "fixed"), outputs=("INT",)),
        node(3, "Reroute", inputs=(("", "*", 2),), outputs=("IMAGE",)),
        save(4, 3),
        node(5, "Note", widgets=("read me",)),
        links=[(1, 2, 0, 1, 0, "INT"), (2, 1, 0, 3, 0, "IMAGE"), (3, 3, 0, 4, 0, "IMAGE")],
    )
    found = converted(workflow)
    assert set(found) == {"1", "4"}
    assert found["1"]["width"] == 96
    assert found["4"]["images"] == ["1", 0]


def invert(number: int, link: int, mode: int) -> dict[str, Any]:
    return node(number, "ImageInvert", inputs=(("image", "IMAGE", link),), outputs=("IMAGE",), mode=mode)


CHAIN = [(1, 1, 0, 2, 0, "IMAGE"), (2, 2, 0, 3, 0, "IMAGE")]


def test_a_bypassed_node_passes_its_input_on() -> None:
    assert converted(canvas(empty_image(1), invert(2, 1, 4), save(3, 2), links=CHAIN))["3"]["images"] == ["1", 0]


def test_a_muted_node_takes_the_input_of_its_consumer_away() -> None:
    found = converted(canvas(empty_image(1), invert(2, 1, 2), save(3, 2), links=CHAIN))
    assert "images" not in found["3"] and "2" not in found


def test_set_and_get_nodes_are_joined_by_name() -> None:
    workflow = canvas(
        empty_image(1),
        node(2, "SetNode", widgets=("pic",), inputs=(("IMAGE", "IMAGE", 1),), outputs=("*",)),
        node(3, "GetNode", widgets=("pic",), outputs=("IMAGE",)),
        save(4, 2),
        links=[(1, 1, 0, 2, 0, "IMAGE"), (2, 3, 0, 4, 0, "IMAGE")],
    )
    assert converted(workflow)["4"]["images"] == ["1", 0]


def subgraph(inner_mode: int = 0) -> dict[str, Any]:
    inside = invert(5, 10, inner_mode)
    resize = node(
        6,
        "ImageScaleBy",
        widgets=("lanczos", 2.0),
        inputs=(("image", "IMAGE", 11), ("scale_by", "FLOAT", 13)),
        outputs=("IMAGE",),
    )
    resize["inputs"][1]["widget"] = {"name": "scale_by"}
    return {
        "id": "uuid",
        "nodes": [inside, resize],
        "links": [
            {"id": 10, "origin_id": -10, "origin_slot": 0, "target_id": 5, "target_slot": 0, "type": "IMAGE"},
            {"id": 11, "origin_id": 5, "origin_slot": 0, "target_id": 6, "target_slot": 0, "type": "IMAGE"},
            {"id": 12, "origin_id": 6, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"},
            {"id": 13, "origin_id": -10, "origin_slot": 1, "target_id": 6, "target_slot": 1, "type": "FLOAT"},
        ],
        "inputs": [
            {"name": "picture", "type": "IMAGE", "linkIds": [10]},
            {"name": "factor", "type": "FLOAT", "linkIds": [13]},
        ],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "linkIds": [12]}],
    }


def with_subgraph(definition: dict[str, Any], **instance: Any) -> dict[str, Any]:
    use = node(2, "uuid", inputs=(("picture", "IMAGE", 1),), outputs=("IMAGE",))
    return canvas(empty_image(1), {**use, **instance}, save(3, 2), links=CHAIN, definitions={"subgraphs": [definition]})


def test_a_subgraph_is_flattened_with_its_promoted_value() -> None:
    found = converted(with_subgraph(subgraph(), widgets_values=[3.5]))
    assert found["2:5"]["image"] == ["1", 0]
    assert found["2:6"] == {"image": ["2:5", 0], "upscale_method": "lanczos", "scale_by": 3.5}
    assert found["3"]["images"] == ["2:6", 0]


def test_without_a_promoted_value_the_inner_one_stays() -> None:
    assert converted(with_subgraph(subgraph()))["2:6"]["scale_by"] == 2.0


def test_proxied_widgets_override_inner_ones() -> None:
    proxied = {"proxyWidgets": [["6", "upscale_method"]]}
    found = converted(with_subgraph(subgraph(), properties=proxied, widgets_values=["bicubic"]))
    assert found["2:6"]["upscale_method"] == "bicubic"


def test_a_bypassed_node_inside_and_a_bypassed_instance() -> None:
    assert converted(with_subgraph(subgraph(4)))["2:6"]["image"] == ["1", 0]
    assert converted(with_subgraph(subgraph(), mode=4))["3"]["images"] == ["1", 0]


def test_a_windows_path_follows_what_is_offered() -> None:
    raw = recorded()
    raw["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = ["SD1.5/model.safetensors"]
    loader = node(1, "CheckpointLoaderSimple", widgets=("SD1.5\\model.safetensors",))
    graph, _ = convert(canvas(loader), ObjectInfo(raw))
    assert graph["1"]["inputs"]["ckpt_name"] == "SD1.5/model.safetensors"


@pytest.mark.parametrize(
    ("workflow", "told"),
    [
        (canvas(node(1, "NoSuchNode"), node(2, "Other One")), "NoSuchNode, Other One"),
        (canvas(node(1, "workflow>Mine")), "subgraphs"),
        (canvas(), "no node that runs"),
        (canvas({"id": 1}), "None"),
    ],
)
def test_what_cannot_be_converted_is_named(workflow: dict[str, Any], told: str) -> None:
    with pytest.raises(ConversionError, match=told):
        import_workflow(json.dumps(workflow).encode(), name="x", object_info=INFO)


GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}, "is_changed": ["abc"]},
}


def png(**texts: str) -> bytes:
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8)).save(encoded, "PNG", pnginfo=info)
    return encoded.getvalue()


def webp(text: str) -> bytes:
    exif = Image.Exif()
    exif[0x0110] = text
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8)).save(encoded, "WEBP", exif=exif)
    return encoded.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(GRAPH).encode(),
        json.dumps({"prompt": GRAPH}).encode(),
        b"\xef\xbb\xbf" + json.dumps(GRAPH).encode(),
        png(prompt=json.dumps(GRAPH), workflow="{}"),
        png(prompt=json.dumps(GRAPH).replace('["abc"]', "NaN")),
        webp("prompt:" + json.dumps(GRAPH)),
        png(workflow=json.dumps(canvas(empty_image(1), save(2, 1), links=[(1, 1, 0, 2, 0, "IMAGE")]))),
    ],
    ids=["api", "wrapped", "byte order mark", "png", "png with NaN", "webp", "png of the canvas"],
)
def test_every_carrier_gives_its_graph(data: bytes) -> None:
    graph = import_workflow(data, name="My Workflow (2)", object_info=INFO).graph
    assert graph["2"]["inputs"]["images"] == ["1", 0]
    assert "is_changed" not in graph["2"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"a": 1}',
        png(),
        png(prompt="{"),
        webp("nothing"),
        png(prompt="{}")[:60],
        b"RIFF1234WEBP",
    ],
    ids=range(10),
)
def test_a_file_without_a_workflow_is_refused(data: bytes) -> None:
    with pytest.raises(ConversionError) as caught:
        import_workflow(data, name="x", object_info=INFO)
    assert caught.value.hint


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 20)
    | st.text(max_size=4)
    | st.sampled_from(["KSampler", "Reroute", "uuid"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "type",
                    "nodes",
                    "links",
                    "inputs",
                    "outputs",
                    "widgets_values",
                    "mode",
                    "link",
                    "name",
                    "definitions",
                    "subgraphs",
                    "class_type",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["nodes", "links", "definitions", "1"]), JUNK, max_size=4))
def test_no_file_is_a_crash(told: dict[str, Any]) -> None:
    try:
        import_workflow(json.dumps(told).encode(), name="x", object_info=INFO)
    except WorkbenchError as failure:
        assert failure.hint


def test_a_template_is_written_whole_and_never_over_another(tmp_path: Path) -> None:
    imported = import_workflow(json.dumps(GRAPH).encode(), name="My Workflow (2)", object_info=INFO)
    folder = write_template(imported, tmp_path)
    assert folder.name == "my_workflow_2"
    assert Catalogue.load([tmp_path]).get("my_workflow_2").graph == imported.graph
    with pytest.raises(TemplateError, match="already"):
        write_template(imported, tmp_path)
    write_template(imported, tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["my_workflow_2"]


@pytest.mark.parametrize(
    ("name", "expected"), [("get_result", "my_get_result"), ("2 pass", "workflow_2_pass"), ("漢", "workflow")]
)
def test_a_name_becomes_an_id(name: str, expected: str) -> None:
    assert import_workflow(json.dumps(GRAPH).encode(), name=name, object_info=INFO).id == expected


def test_a_text_made_to_be_slow_to_read_holds_nobody_up() -> None:
    text = node(1, "CLIPTextEncode", widgets=("{" + "|" * 40_000,), inputs=(("clip", "CLIP", None),))
    began = time.perf_counter()
    convert(canvas(text), INFO)
    assert time.perf_counter() - began < 1
