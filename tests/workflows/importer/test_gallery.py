"""ComfyUI's own template gallery: everything that needs no cloud converts, or is named with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import ConversionError
from comfy_mcp.workflows import ObjectInfo, import_workflow
from comfy_mcp.workflows.template import links_in
from tests.data.record_object_info import recorded

REFUSED = Path(__file__).with_name("refused.txt")
"""One line each: template, colon, the nodes that the recorded ComfyUI 0.3.64 lacks."""


def gallery() -> Iterator[tuple[str, bytes]]:
    for file in sorted(resources.files("comfyui_workflow_templates_json").joinpath("templates").iterdir(), key=str):
        name = file.name.removesuffix(".json")
        # What begins with api_ runs in the cloud; files without nodes are catalogues and translations.
        if file.name.endswith(".json") and not name.startswith("api_"):
            data = file.read_bytes()
            told: Any = json.loads(data)
            if isinstance(told, dict) and "nodes" in told:
                yield name, data


@pytest.fixture(scope="module")
def info() -> ObjectInfo:
    return ObjectInfo(recorded())


def test_the_gallery_converts_or_is_refused_with_the_reason(info: ObjectInfo) -> None:
    expected = dict(line.split(": ", 1) for line in REFUSED.read_text().splitlines())
    refused: dict[str, str] = {}
    converted = 0
    for name, data in gallery():
        try:
            imported = import_workflow(data, name=name, object_info=info)
        except ConversionError as failure:
            refused[name] = ", ".join(failure.details["nodes"])
            continue
        converted += 1
        for node, input_name, link in links_in(imported.graph):
            taken = info.node(imported.graph[node]["class_type"]).input(input_name)
            source, slot = str(link[0]), int(link[1])
            given = info.node(imported.graph[source]["class_type"]).outputs[slot]
            wanted = taken.type if taken is not None else "*"
            assert wanted == "*" or given == "*" or set(wanted.split(",")) & set(given.split(",")), (
                name,
                node,
                input_name,
            )
        for node, content in imported.graph.items():
            for told in info.node(content["class_type"]).inputs:
                assert not told.required or told.name in content["inputs"], (name, node, told.name)
    assert refused == expected
    assert converted >= 75


def test_a_gallery_picture_is_found_its_parameters(info: ObjectInfo) -> None:
    data = dict(gallery())["sd3.5_simple_example"]
    found = import_workflow(data, name="sd3.5", object_info=info).manifest.parameters
    sampling = {"seed", "steps", "cfg", "sampler", "scheduler", "denoise"}
    assert {"prompt", "negative", "width", "height", "batch", "checkpoint"} | sampling <= set(found)
