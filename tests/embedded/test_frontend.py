"""ComfyUI's own page over the engine: what it asks for is there, what it keeps is kept, and it runs graphs."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Browser
from starlette.testclient import TestClient

from comfy_mcp.embedded import create_engine_app
from tests.engines import running_engine
from tests.frontend import Graph, Theme, comfy_page, needs_page, running_browser

BLUE = 0x3366CC
PICTURE: Graph = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 128, "height": 96, "batch_size": 1, "color": BLUE}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
GREETING: Graph = {"7": {"class_type": "TestGreeter", "inputs": {"name": "dunes"}}}
NODE = """
from server import PromptServer

class Greeter:
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = ("STRING",), "greet", "test", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {"default": "world"})}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def greet(self, name, unique_id):
        server = PromptServer.instance
        server.send_sync("test-pack.greeting", {"node": unique_id, "text": "hello " + name}, server.client_id)
        return {"ui": {"text": [name]}, "result": (name,)}

NODE_CLASS_MAPPINGS = {"TestGreeter": Greeter}
NODE_DISPLAY_NAME_MAPPINGS = {"TestGreeter": "Greeter"}
WEB_DIRECTORY = "./web"
"""
EXTENSION = """
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "test-pack.greeter",
  setup() {
    app.api.addEventListener("test-pack.greeting", ({ detail }) => {
      app.graph.getNodeById(detail.node).addWidget("text", "greeting", detail.text, () => {});
    });
  },
});
"""
EXAMPLE: dict[str, Any] = {
    "last_node_id": 1,
    "last_link_id": 0,
    "nodes": [
        {
            "id": 1, "type": "TestGreeter", "pos": [100, 100], "size": [270, 80], "flags": {}, "order": 0, "mode": 0,
            "inputs": [], "outputs": [{"name": "STRING", "type": "STRING", "links": None}], "properties": {},
            "widgets_values": ["example"],
        }
    ],
    "links": [], "groups": [], "config": {}, "extra": {}, "version": 0.4,
}  # fmt: skip
ASKED = [
    "/", "/user.css", "/favicon.ico", "/api/userdata/user.css", "/api/system_stats", "/api/users", "/api/i18n",
    "/api/settings", "/api/userdata?dir=workflows&recurse=true&split=false&full_info=true",
    "/api/userdata?dir=subgraphs%2F&recurse=true&split=false&full_info=true", "/api/extensions", "/api/object_info",
    "/api/queue", "/api/history?max_items=64", "/api/userdata/comfy.templates.json",
    "/api/userdata/workflows%2F.index.json", "/api/workflow_templates", "/templates/index.json",
    "/api/experiment/models", "/api/experiment/models/checkpoints", "/internal/logs", "/internal/logs/raw",
]  # fmt: skip
"""What the page of 1.27.10 asks for when it opens, and when its panels do."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all tests here, and so one browser."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of one node that greets the page, and the page's side of it."""
    folder = tmp_path_factory.mktemp("custom_nodes") / "test pack"
    files = {
        "__init__.py": NODE,
        "web/greeter.js": EXTENSION,
        "web/parts/words.txt": "words",
        "example_workflows/greet someone.json": json.dumps(EXAMPLE),
        "locales/zh/main.json": json.dumps({"greeting": {"hello": "你好"}}),
        "locales/zh/nodeDefs.json": json.dumps({"TestGreeter": {"display_name": "问候"}}),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def engine_url(pack: Path) -> Generator[str]:
    """An engine with the pack."""
    with running_engine("--pack", str(pack)) as engine:
        yield engine.url


@pytest.fixture(scope="module")
def http(engine_url: str) -> Generator[httpx.Client]:
    with httpx.Client(base_url=engine_url, trust_env=False) as http:
        yield http


@pytest.mark.parametrize("path", ASKED)
def test_whatever_the_page_asks_for_is_there(http: httpx.Client, path: str) -> None:
    needs_page()
    assert http.get(path).is_success


def test_without_the_page_the_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "comfyui_frontend_package", None)
    with TestClient(create_engine_app()) as client:
        told = client.get("/")
        assert told.status_code == 404
        assert "pip install comfyui-frontend-package" in told.text
        assert client.get("/api/extensions").json() == []
        assert client.get("/system_stats").is_success


def test_the_extensions_of_packs_are_listed_and_served(http: httpx.Client) -> None:
    listed = http.get("/extensions").json()
    assert http.get("/api/extensions").json() == listed
    assert [each for each in listed if not each.startswith("/extensions/core/") and "test" in each] == [
        "/extensions/test%20pack/greeter.js"
    ]
    for address in listed:
        assert http.get(address).headers["cache-control"] == "no-cache"
    assert http.get("/extensions/test%20pack/greeter.js").text == EXTENSION
    assert http.get("/extensions/test%20pack/parts/words.txt").text == "words"


def test_the_example_workflows_of_packs_are_listed_and_served(http: httpx.Client) -> None:
    assert http.get("/api/workflow_templates").json() == {"test pack": ["greet someone"]}
    assert http.get("/api/workflow_templates/test%20pack/greet%20someone.json").json() == EXAMPLE


def test_the_words_of_packs_are_merged_by_language(http: httpx.Client) -> None:
    told = http.get("/api/i18n").json()
    assert told == {"zh": {"greeting": {"hello": "你好"}, "nodeDefs": {"TestGreeter": {"display_name": "问候"}}}}


@pytest.mark.parametrize("start", ["/", "/extensions/test%20pack/", "/api/workflow_templates/test%20pack/"])
@pytest.mark.parametrize(
    "path",
    [
        "..%2F__init__.py", "%2e%2e/__init__.py", "%2e%2e%2f__init__.py", "web/%2e%2e/%2e%2e/__init__.py",
        "..%5C__init__.py", "%2Fetc%2Fpasswd", "//etc/passwd", "x%00.js", "x" * 5000,
    ],
    ids=lambda path: path[:30],
)  # fmt: skip
def test_no_address_leaves_its_folder(http: httpx.Client, start: str, path: str) -> None:
    assert http.get(httpx.URL(http.base_url, raw_path=(start + path).encode())).status_code == 404


def test_settings_are_kept(http: httpx.Client) -> None:
    assert http.get("/settings/Test.One").json() is None
    assert http.post("/settings/Test.One", json={"deep": [1, "二"]}).is_success
    assert http.post("/api/settings", json={"Test.Two": False}).is_success
    told = http.get("/api/settings").json()
    assert (told["Test.One"], told["Test.Two"]) == ({"deep": [1, "二"]}, False)
    assert http.get("/api/settings/Test.One").json() == {"deep": [1, "二"]}


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'"\\ud800"', b"[" * 100_000])
def test_settings_that_are_no_json_are_refused(http: httpx.Client, body: bytes) -> None:
    assert http.post("/settings/Test.Bad", content=body).status_code == 400
    assert http.get("/settings").is_success


def test_settings_all_at_once_are_an_object(http: httpx.Client) -> None:
    assert http.post("/settings", json=["no"]).status_code == 400


def test_user_files_are_written_listed_moved_and_deleted(http: httpx.Client) -> None:
    at = "/api/userdata/"
    name, moved = quote("workflows/mine/one.json", safe=""), quote("workflows/二.json", safe="")
    assert http.get(at + name).status_code == 404
    assert http.post(at + name, content=b"{}").json() == "workflows/mine/one.json"
    assert http.post(at + name + "?overwrite=false", content=b"new").status_code == 409
    told = http.post(at + name + "?full_info=true", content=b"{ }").json()
    assert (told["path"], told["size"]) == ("workflows/mine/one.json", 3)
    assert http.get(at + name).content == b"{ }"
    assert http.get("/userdata?dir=workflows").json() == []
    assert http.get("/userdata?dir=workflows&recurse=true").json() == ["mine/one.json"]
    assert http.get("/userdata?dir=workflows&recurse=true&split=true").json() == [["mine/one.json", "mine", "one.json"]]
    assert http.get("/userdata?dir=workflows&recurse=true&full_info=true").json()[0]["size"] == 3
    listed = [each["path"] for each in http.get("/v2/userdata?path=workflows").json()]
    assert listed == ["workflows/mine", "workflows/.index.json", "workflows/mine/one.json"]
    assert http.post(f"{at}{name}/move/{moved}").json() == "workflows/二.json"
    assert http.post(f"{at}{name}/move/{moved}").status_code == 404
    assert http.delete(at + moved).status_code == 204
    assert http.delete(at + moved).status_code == 404


def test_user_files_that_cannot_be_are_refused(http: httpx.Client) -> None:
    for name in ("../x.json", "/etc/x.json", "workflows/../../x.json", "x\0.json", "x" * 5000):
        at = "/userdata/" + quote(name, safe="")
        assert http.get(at).status_code == 403, name
        assert http.post(at, content=b"{}").status_code == 403, name
        assert http.post(f"/userdata/user.css/move/{quote(name, safe='')}").status_code == 403, name
        assert http.get("/userdata", params={"dir": name}).status_code == 403, name
        assert http.get("/v2/userdata", params={"path": name}).status_code == 400, name
    for name in ("workflows", "user.css%2Fx.json"):
        assert http.post(f"/userdata/{name}", content=b"{}").status_code == 400, name
    assert http.get("/userdata").status_code == 400
    assert http.get("/userdata?dir=nowhere").status_code == 404
    assert http.post("/userdata/workflows/x.json", content=b"{}").status_code == 404


async def test_the_page_runs_a_graph_and_shows_its_picture(browser: Browser, comfyui_url: str) -> None:
    async with comfy_page(browser, comfyui_url) as comfy:
        await comfy.load(PICTURE)
        assert await comfy.widgets(1) == {"width": 128, "height": 96, "batch_size": 1, "color": BLUE}
        await comfy.set_widget(1, "width", 64)
        outputs = await comfy.outputs(await comfy.run())
        assert len(outputs["2"]["images"]) == 1
        await comfy.page.wait_for_function("app.graph.getNodeById(2).imgs?.length === 1")
        shown = await comfy.page.evaluate("""() => {
          const [image] = app.graph.getNodeById(2).imgs, context = document.createElement("canvas").getContext("2d");
          context.drawImage(image, 0, 0);
          return [image.naturalWidth, image.naturalHeight, ...context.getImageData(9, 9, 1, 1).data];
        }""")
        assert shown == [64, 96, 0x33, 0x66, 0xCC, 255]


async def test_a_graph_that_is_refused_fails_the_test(browser: Browser, comfyui_url: str) -> None:
    async with comfy_page(browser, comfyui_url) as comfy:
        await comfy.load({"2": {"class_type": "PreviewImage", "inputs": {}}})
        with pytest.raises(AssertionError, match="prompt_outputs_failed_validation"):
            await comfy.run()


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_the_theme_is_switched_and_kept(browser: Browser, comfyui_url: str, theme: Theme) -> None:
    other: Theme = "light" if theme == "dark" else "dark"
    ground = "() => getComputedStyle(document.body).getPropertyValue('--bg-color')"
    async with comfy_page(browser, comfyui_url, theme) as comfy:
        first = await comfy.page.evaluate(ground)
        await comfy.choose_theme(other)
        assert await comfy.page.evaluate(ground) != first
        kept = await comfy.page.request.get(f"{comfyui_url}/api/settings/Comfy.ColorPalette")
        assert await kept.json() == other


async def test_the_extension_of_a_pack_hears_the_event_of_its_node(browser: Browser, engine_url: str) -> None:
    async with comfy_page(browser, engine_url) as comfy:
        await comfy.load(GREETING)
        outputs = await comfy.outputs(await comfy.run())
        assert outputs == {"7": {"text": ["dunes"]}}
        await comfy.wait_for_text(7, "hello dunes")
        assert await comfy.widgets(7) == {"name": "dunes", "greeting": "hello dunes"}


async def test_an_example_workflow_of_a_pack_opens_from_the_template_browser(browser: Browser, engine_url: str) -> None:
    async with comfy_page(browser, engine_url) as comfy:
        await comfy.page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        await comfy.page.get_by_role("option", name="test pack").click()
        await comfy.page.get_by_text("greet someone").first.click()
        await comfy.page.wait_for_function("app.graph.getNodeById(1)?.type === 'TestGreeter'")
        assert await comfy.outputs(await comfy.run()) == {"1": {"text": ["example"]}}
