"""What the graph of a front end may hold, against all that a real ComfyUI 0.3.64 has."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_mcp.errors import NotAllowed, WorkflowRejected
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows import USUAL_NODES, ObjectInfo, pictures_in, refuse_paths, refuse_unusual
from comfy_mcp.workflows.paths import takes_file_name
from tests.data.record_object_info import recorded

REAL = ObjectInfo(recorded())
LOADED: Graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}}


def test_usual_nodes_are_comfyuis_own() -> None:
    assert {name for name in USUAL_NODES if not REAL.has(name)} == set()


def test_usual_nodes_keep_pictures_alone_and_read_uploads_alone() -> None:
    nodes = [REAL.node(name) for name in USUAL_NODES]
    texts = {(node.name, told.name) for node in nodes for told in node.inputs if told.type == "STRING"}

    assert {node.name for node in nodes if node.output_node} == {"SaveImage", "PreviewImage"}
    assert {node.name for node in nodes if any(told.takes_upload for told in node.inputs)} == {
        "LoadImage",
        "LoadImageMask",
    }
    assert {place for place in texts if takes_file_name(place[1])} == {("SaveImage", "filename_prefix")}


@pytest.mark.parametrize(
    "name",
    ["SRL Eval", "SaveLatent", "LoadLatent", "CheckpointSave", "LoadImageOutput", "TrainLoraNode", "RegexReplace"],
)
def test_other_nodes_are_refused_unless_they_are_named(name: str) -> None:
    graph: Graph = {"1": {"class_type": name, "inputs": {}}}

    with pytest.raises(NotAllowed) as caught:
        refuse_unusual(graph, ())

    assert caught.value.details == {"node": "1", "node_class": name}
    refuse_unusual(graph, [name])


def test_uploads_are_found_by_name_wherever_they_are_loaded() -> None:
    graph = LOADED | {"2": {"class_type": "LoadImageMask", "inputs": {"image": "x.png", "channel": "red"}}}

    assert pictures_in(graph, REAL) == {"x.png": (("1", "image"), ("2", "image"))}


@pytest.mark.parametrize("value", [["2", 0], 5, {"__value__": ["x.png"]}, True])
def test_an_upload_has_a_name_and_nothing_else(value: Any) -> None:
    with pytest.raises(WorkflowRejected):
        pictures_in({"1": {"class_type": "LoadImage", "inputs": {"image": value}}}, REAL)


@pytest.mark.parametrize("value", ["../x", ["2", 0], 5, {"__value__": ["x"]}, "x [output]"])
def test_a_name_of_a_file_is_plain_and_known_beforehand(value: Any) -> None:
    graph: Graph = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": value, "images": ["3", 0]}}}

    with pytest.raises(WorkflowRejected) as caught:
        refuse_paths(graph, REAL)

    assert caught.value.details["input"] == "filename_prefix"


def test_folders_and_dates_in_a_name_are_plain() -> None:
    told = {"filename_prefix": "LobeChat/%year%-%month%-%day%/FLUX_Dev", "images": ["3", 0]}
    refuse_paths({"1": {"class_type": "SaveImage", "inputs": told}}, REAL)


def branching(option: str, told: list[Any]) -> ObjectInfo:
    """A node whose choice ``file`` brings an input of that name, and another choice that brings none."""
    branches: list[dict[str, Any]] = [
        {"key": "none", "inputs": {"required": {}}},
        {"key": "file", "inputs": {"required": {option: told}}},
    ]
    inputs = {"required": {"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": branches}]}}
    return ObjectInfo({"Node": {"input": inputs, "output": [], "output_node": True}})


def test_a_path_that_a_choice_brings_along_is_refused_too() -> None:
    info = branching("filename", ["STRING", {}])

    def graph(mode: str, value: Any) -> Graph:
        return {"1": {"class_type": "Node", "inputs": {"mode": mode, "mode.filename": value}}}

    for value in ("../x", ["2", 0], "/etc/passwd"):
        with pytest.raises(WorkflowRejected) as caught:
            refuse_paths(graph("file", value), info)
        assert caught.value.details["input"] == "mode.filename"
    refuse_paths(graph("file", "x"), info)
    refuse_paths(graph("none", "../x"), info)


def test_an_upload_that_a_choice_brings_along_is_found_too() -> None:
    info = branching("image", [["a.png"], {"image_upload": True}])
    graph: Graph = {"1": {"class_type": "Node", "inputs": {"mode": "file", "mode.image": "x.png"}}}

    assert pictures_in(graph, info) == {"x.png": (("1", "mode.image"),)}
