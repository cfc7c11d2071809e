"""A graph of one's own as a job: what it needs, which pictures it may load, and what is refused before it is stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import BackendUnavailable, MissingModel, NotAllowed, TemplateError, WorkflowRejected
from comfy_mcp.jobs import FILE, GRAPH, JobState
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.graphs import asset_named, file_name
from tests.proxy.comfyui.clients import edit_of, graph_of
from tests.workbenches import settings_for


@pytest.fixture
async def workbench(tmp_path: Path, embedded_url: str) -> AsyncGenerator[Workbench]:
    async with Workbench.open(settings_for(tmp_path, embedded_url)) as opened:
        yield opened


async def test_a_graph_becomes_a_job_that_needs_what_is_in_it(workbench: Workbench) -> None:
    job = await workbench.graphs.submit(graph_of(), "anna")

    assert (job.owner, job.template, job.model) == ("anna", GRAPH, "procedural-sd15.safetensors")
    done = await workbench.wait(job.id, 20)
    assert done.state is JobState.SUCCEEDED, done.error
    assert [(output.node, output.kind, output.value) for output in done.outputs] == [("9", FILE, done.assets[0].id)]


async def test_each_file_is_told_with_its_node(workbench: Workbench) -> None:
    graph = graph_of()
    graph["5"]["inputs"]["batch_size"] = 2
    graph["20"] = {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}}
    graph["21"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["20", 0]}}

    done = await workbench.wait((await workbench.graphs.submit(graph, "local")).id, 20)

    assert sorted(output.node for output in done.outputs) == ["21", "21", "9", "9"]
    assert {output.value for output in done.outputs} == {asset.id for asset in done.assets}


async def test_an_own_picture_is_loaded_and_nobody_elses(workbench: Workbench, picture: bytes) -> None:
    asset = await workbench.upload(picture, "anna")
    assert asset_named(file_name(asset)) == asset.id

    job = await workbench.graphs.submit(edit_of(file_name(asset)), "anna")

    assert job.bound.uploads[0].asset == asset.id
    assert (await workbench.wait(job.id, 20)).state is JobState.SUCCEEDED
    with pytest.raises(WorkflowRejected) as caught:
        await workbench.graphs.submit(edit_of(file_name(asset)), "ben")
    assert caught.value.details == {"node": "1", "input": "image"}


def changed(node: str, **inputs: Any) -> dict[str, Any]:
    graph = graph_of()
    graph[node]["inputs"] |= inputs
    return graph


CANNOT_RUN: list[tuple[Any, type[Exception]]] = [
    (None, TemplateError),
    ([1], TemplateError),
    (changed("3", model=["4"]), TemplateError),
    (graph_of() | {"1": {"class_type": "SRL Eval", "inputs": {}}}, NotAllowed),
    (changed("4", ckpt_name="other.safetensors"), MissingModel),
    (changed("3", steps=10**6), WorkflowRejected),
    (changed("3", model=["6", 0]), WorkflowRejected),
    (changed("3", steps=None), WorkflowRejected),
    (edit_of("example.png"), WorkflowRejected),
]


@pytest.mark.parametrize(("graph", "error"), CANNOT_RUN)
async def test_what_cannot_run_is_refused_and_not_stored(
    workbench: Workbench, graph: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await workbench.graphs.submit(graph, "local")

    assert await workbench.jobs() == []


async def test_a_text_that_was_not_given_is_empty(workbench: Workbench) -> None:
    job = await workbench.graphs.submit(changed("7", text=None), "local")

    assert job.bound.graph["7"]["inputs"]["text"] == ""


async def test_without_any_comfyui_nothing_is_accepted(tmp_path: Path) -> None:
    async with Workbench.open(settings_for(tmp_path, "http://127.0.0.1:9")) as workbench:
        with pytest.raises(BackendUnavailable):
            await workbench.graphs.submit(graph_of(), "local")
        assert await workbench.jobs() == []
