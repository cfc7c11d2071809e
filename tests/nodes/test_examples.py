"""The example workflows: the very graphs of the templates, listed and opened by ComfyUI's page, and easy to read."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator
from itertools import combinations
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image
from playwright.async_api import Browser

from comfy_mcp.workflows import import_workflow
from tests.frontend import comfy_page, running_browser
from tests.nodes.shipping import EXAMPLES, PACK, TEMPLATES, example_of, object_info_of, running_pack
from tests.texts import NOWHERE
from tests.workflows.samples import SHIPPED

MOST_BYTES = 60_000
PAGE = ["WorkbenchLLMCompare", "WorkbenchResultsTable", "WorkbenchJudge"]
"""Nodes that show a table."""

SUBMITTED = "async () => (await app.graphToPrompt()).output"
SHOWN = """() => app.graph.nodes.map((node) => ({
  title: node.title, known: node.type in LiteGraph.registered_node_types, bounds: [...node.boundingRect],
}))"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Generator[str]:
    with running_pack(tmp_path_factory.mktemp("custom_nodes"), NOWHERE) as url:
        # ComfyUI comes with this one.
        sent = httpx.post(f"{url}/upload/image", files={"image": ("example.png", picture)}, trust_env=False)
        sent.raise_for_status()
        yield url


def example(template: str) -> dict[str, Any]:
    return json.loads(example_of(template).read_text("utf-8"))


def graph_of(template: str) -> dict[str, Any]:
    return {node: dict(content) for node, content in SHIPPED.get(template).graph.items()}


def test_every_template_of_the_nodes_is_an_example_and_has_a_picture() -> None:
    assert {file.name for file in EXAMPLES.iterdir()} == {
        example_of(name).with_suffix(kind).name for name in TEMPLATES for kind in (".json", ".jpg")
    }
    ours = {
        name
        for name, template in SHIPPED.templates.items()
        if any(content["class_type"].startswith("Workbench") for content in template.graph.values())
    }
    assert ours == {*TEMPLATES}


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_example_is_the_graph_of_its_template(name: str, url: str) -> None:
    imported = import_workflow(example_of(name).read_bytes(), name=name, object_info=object_info_of(url))
    assert imported.graph == graph_of(name)


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_example_says_what_it_is_and_tells_its_parts(name: str) -> None:
    told = example(name)
    (note,) = [node for node in told["nodes"] if node["type"] == "MarkdownNote"]
    assert "LLM server" in note["widgets_values"][0]
    groups = [group["bounding"] for group in told["groups"]]
    for node in told["nodes"]:
        held = [group for group in groups if _holds(group, [*node["pos"], *node["size"]])]
        assert len(held) == (0 if node is note else 1), node["title"]
        assert node["type"] not in PAGE or node["size"][0] >= 640, node["title"]
    assert not any(_overlap(*pair) for pair in combinations(groups, 2))


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_the_picture_is_another_one_each_time(name: str) -> None:
    controls = {
        node["type"]: value
        for node in example(name)["nodes"]
        for value in node.get("widgets_values", ())
        if value in ("fixed", "randomize")
    }
    assert controls.pop("KSampler", "randomize") == "randomize"
    assert {*controls.values()} == {"fixed"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_its_picture_is_one_and_small(name: str) -> None:
    file = example_of(name).with_suffix(".jpg")
    assert file.stat().st_size <= MOST_BYTES
    with Image.open(file) as picture:
        assert picture.format == "JPEG" and picture.width >= 600


def test_the_examples_are_listed_and_served_with_their_pictures(url: str) -> None:
    with httpx.Client(base_url=f"{url}/api", trust_env=False) as http:
        assert sorted(http.get("/workflow_templates").json()[PACK]) == [example_of(name).stem for name in TEMPLATES]
        for file in EXAMPLES.iterdir():
            assert http.get(f"/workflow_templates/{PACK}/{quote(file.name)}").content == file.read_bytes()


@pytest.mark.parametrize("name", TEMPLATES)
async def test_an_example_opens_from_the_template_browser_with_all_of_its_nodes(
    name: str, url: str, browser: Browser
) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        await comfy.page.get_by_role("option", name=PACK).click()
        await comfy.page.get_by_text(example_of(name).stem).first.click()
        nodes = len(example(name)["nodes"])
        await comfy.page.wait_for_function("(nodes) => app.graph.nodes.length === nodes", arg=nodes)
        await comfy.fit()
        shown = await comfy.page.evaluate(SHOWN)
        assert all(node["known"] for node in shown), shown
        assert not await comfy.page.get_by_text("Missing Node").count()
        for one, other in combinations(shown, 2):
            assert not _overlap(one["bounds"], other["bounds"]), (one["title"], other["title"])
        assert await comfy.page.evaluate(SUBMITTED) == graph_of(name)


def _holds(group: list[float], node: list[float]) -> bool:
    return (
        group[0] <= node[0]
        and group[1] <= node[1]
        and node[0] + node[2] <= group[0] + group[2]
        and node[1] + node[3] <= group[1] + group[3]
    )


def _overlap(one: list[float], other: list[float]) -> bool:
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))
