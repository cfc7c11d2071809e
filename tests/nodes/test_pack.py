"""The pack as ComfyUI loads it: by the path of its folder, alone with httpx, beside whatever else is installed."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from PIL import Image

import comfy_nodes
from comfy_mcp.errors import InternalError
from comfy_mcp.node_pack import lay_out, pack_metadata, with_relative_imports

ROOT = Path(__file__).parents[2]
MODULE = PurePosixPath("llm_bridge/queue/host.py")
BLOCKED = (
    "comfy_nodes",
    "llm_bridge",
    "comfy_mcp",
    "torch",
    "numpy",
    "comfy",
    "server",
    "aiohttp",
    "PIL",
    "vl_convert",
)

LOAD = """
import importlib, importlib.util, json, pkgutil, sys
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def load(folder):
    name = folder.replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, Path(folder) / "__init__.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

sys.meta_path.insert(0, Blocker())
"""
EVERY_MODULE = """
asked = []
watched = ("socket.", "subprocess.", "os.exec", "os.posix_spawn")
sys.addaudithook(lambda event, _: asked.append(event) if event.startswith(watched) else None)
pack = load(sys.argv[1])
opened = list(asked)
names = [each.name for each in pkgutil.walk_packages(pack.__path__, f"{pack.__name__}.")]
for name in names:
    importlib.import_module(name)
titles = pack.NODE_DISPLAY_NAME_MAPPINGS
modules = [name.removeprefix(f"{pack.__name__}.") for name in names]
met = sorted(set(sys.modules) & set(BLOCKED))
told = {"nodes": sorted(pack.NODE_CLASS_MAPPINGS), "titles": titles, "modules": modules, "opened": opened, "met": met}
print(json.dumps({**told, "web": pack.WEB_DIRECTORY}))
"""
WORKS = """
import asyncio

async def checked():
    name = load(sys.argv[1]).__name__
    bridge = importlib.import_module(f"{name}.llm_bridge")
    compare = importlib.import_module(f"{name}.llm_bridge.compare")
    matching = importlib.import_module(f"{name}.llm_bridge.matching")
    reports = importlib.import_module(f"{name}.llm_bridge.compare.reports")
    comparison = compare.Comparison(("m",), (compare.Prompt("p", "Hi"),))
    return {
        "client": bridge.Client.__module__.removeprefix(name),
        "page": reports.page(compare.Results(comparison)),
        "flaws": await matching.matched("regex", "a+", "b"),
    }

print(json.dumps(asyncio.run(checked())))
"""
TWO = """
one, other = load(sys.argv[1]), load(sys.argv[2])
mine = {id(node) for node in one.NODE_CLASS_MAPPINGS.values()}
theirs = {id(node) for node in other.NODE_CLASS_MAPPINGS.values()}
of = [importlib.import_module(f"{pack.__name__}.llm_bridge").Client for pack in (one, other)]
print(json.dumps({"nodes": len(mine), "shared": len(mine & theirs), "clients": len(set(of))}))
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A dot in the path of a ComfyUI changes the name that the pack is imported by.
    return lay_out(tmp_path_factory.mktemp("ComfyUI-0.3") / "custom_nodes" / "comfyui-workbench").folder


def run_there(program: str, *arguments: str, blocked: tuple[str, ...] = BLOCKED) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-W", "error", "-c", f"BLOCKED = {blocked!r}\n{LOAD}{program}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")


def told_by(program: str, *folders: Path) -> Any:
    done = run_there(program, *map(str, folders))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(pack: Path) -> dict[str, Any]:
    return told_by(EVERY_MODULE, pack)


def test_it_has_every_node(told: dict[str, Any]) -> None:
    assert told["nodes"] == sorted(comfy_nodes.NODE_CLASS_MAPPINGS)
    assert told["titles"] == comfy_nodes.NODE_DISPLAY_NAME_MAPPINGS


def test_nothing_is_opened_or_started_by_its_import(told: dict[str, Any]) -> None:
    assert told["opened"] == []


def test_every_module_of_it_is_imported_from_within(told: dict[str, Any]) -> None:
    sources = [
        path.relative_to(ROOT) for package in ("comfy_nodes", "llm_bridge") for path in (ROOT / package).rglob("*.py")
    ]
    assert set(told["modules"]) == {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in sources}
    assert told["met"] == []


def test_what_comfyui_looks_for_is_where_it_looks(pack: Path, told: dict[str, Any]) -> None:
    files = {path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file()}
    assert files >= {
        "__init__.py",
        "pyproject.toml",
        "requirements.txt",
        "README.md",
        "LICENSE",
        ".comfyignore",
        "icon.png",
    }
    assert told["web"] == "./comfy_nodes/web"
    for package, inside in (("web", "comfy_nodes/web"), ("example_workflows", "example_workflows")):
        there = {path.name for path in (ROOT / "comfy_nodes" / package).rglob("*") if path.is_file()}
        assert {name.removeprefix(f"{inside}/") for name in files if name.startswith(f"{inside}/")} == there
    assert not any(name.startswith("comfy_nodes/example_workflows") for name in files)


def test_pages_programs_and_lazy_names_of_the_bridge_work_there(pack: Path) -> None:
    done = told_by(WORKS, pack)

    assert done["client"] == ".llm_bridge.client"
    assert done["page"].startswith("<!doctype html>") or done["page"].startswith("<!DOCTYPE html>")
    assert len(done["flaws"]) == 1


def test_two_beside_each_other_do_not_meet(pack: Path, tmp_path: Path) -> None:
    other = lay_out(tmp_path / "older").folder

    assert told_by(TWO, pack, other) == {"nodes": len(comfy_nodes.NODE_CLASS_MAPPINGS), "shared": 0, "clients": 2}


def test_without_httpx_it_says_what_to_install(pack: Path) -> None:
    done = run_there("load(sys.argv[1])", str(pack), blocked=(*BLOCKED, "httpx"))

    assert "No module named 'httpx'. With the Python that runs ComfyUI: python -m pip install -r" in done.stderr
    assert str(pack / "requirements.txt") in done.stderr


def test_all_but_the_imports_is_as_it_was_byte_for_byte(pack: Path) -> None:
    for path in (path for package in ("comfy_nodes", "llm_bridge") for path in (ROOT / package).rglob("*.py")):
        place = path.relative_to(ROOT)
        text = (pack / place).read_bytes()
        dots = rb"\." * len(place.parts)
        back = re.sub(rb"(?m)^( *)from " + dots + rb"(comfy_nodes|llm_bridge)\b", rb"\1from \2", text)
        back = re.sub(rb"(?m)^( *)from " + dots + rb" import (comfy_nodes|llm_bridge)\b", rb"\1import \2", back)
        assert back == path.read_bytes(), place
        for node in ast.walk(ast.parse(text)):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) and node.level == 0 else ""
            assert not any(name.startswith(("comfy_nodes", "llm_bridge")) for name in (*names, module)), place


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from llm_bridge.chat import Text, Tool as T", "from ...llm_bridge.chat import Text, Tool as T"),
        ("from llm_bridge import Client", "from ...llm_bridge import Client"),
        ("from llm_bridge.a import (  # those\n    B,\n)\n", "from ...llm_bridge.a import (  # those\n    B,\n)\n"),
        ("import llm_bridge", "from ... import llm_bridge"),
        ("import llm_bridge as b", "from ... import llm_bridge as b"),
        ("def f():\r\n\tfrom comfy_nodes.x import y\r\n", "def f():\r\n\tfrom ...comfy_nodes.x import y\r\n"),
        ("'é'; from llm_bridge.a import b; import os", "'é'; from ...llm_bridge.a import b; import os"),
        ("import llm_bridge; from comfy_nodes import a", "from ... import llm_bridge; from ...comfy_nodes import a"),
        ("import llm_bridges, os\nfrom llm_bridge_x.a import b\nfrom . import c", None),
        ("'''\nfrom llm_bridge.a import b\n'''\nx = 'import llm_bridge'  # import llm_bridge", None),
        ("import_module(f'{__name__}.client'); import_module('json_repair'); f('llm_bridge.x')", None),
    ],
)  # fmt: skip
def test_imports_become_relative_and_nothing_else(before: str, after: str | None) -> None:
    made = with_relative_imports(before.encode(), MODULE)
    assert made.decode() == (before if after is None else after)


@pytest.mark.parametrize(
    "source",
    [
        "import llm_bridge.client",
        "import llm_bridge.client as client",
        "import os, llm_bridge",
        "from  llm_bridge import client",
        "from \\\n  llm_bridge import client",
        "import_module('llm_bridge.client')",
        "importlib.import_module(f'comfy_nodes.{name}')",
        "__import__('llm_bridge')",
        'from llm_bridge import client\nif __name__ == "__main__":\n    client.main()',
    ],
)
def test_an_import_in_an_unknown_form_is_told_of(source: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InternalError):
        with_relative_imports(source.encode(), MODULE)
    assert "llm_bridge/queue/host.py:1: this import cannot be made relative" in caplog.text


def test_the_registry_is_told_what_the_project_says(pack: Path) -> None:
    told = tomllib.loads((pack / "pyproject.toml").read_text())
    project, comfy = told["project"], told["tool"]["comfy"]

    assert project["name"] == "comfyui-workbench"
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["version"] == importlib.metadata.version("comfyui-workbench")
    assert project["license"] == {"file": "LICENSE"}
    assert comfy["requires-comfyui"] == ">=0.3.45"
    assert comfy["PublisherId"]
    assert comfy["DisplayName"]
    # A web folder named here and by the module would be loaded twice where the folder has another name.
    assert "web" not in comfy
    assert project["requires-python"] == ">=3.11"
    assert "sys.version_info < (3, 11)" in (pack / "__init__.py").read_text()


def test_what_every_comfyui_has_is_not_asked_for(pack: Path) -> None:
    wanted = (pack / "requirements.txt").read_text().splitlines()

    assert wanted == tomllib.loads((pack / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split("[<>=]", each)[0] for each in wanted}
    assert names == {"httpx", "sniffio", "jsonschema", "json-repair", "vl-convert-python"}


def test_the_listing_shows_the_icon_of_the_repository() -> None:
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ours["project"]["urls"] = {"Repository": "https://example.org/us/workbench"}

    told = pack_metadata(ours)

    assert told["project"]["urls"] == ours["project"]["urls"]
    address = told["tool"]["comfy"]["Icon"]
    assert address.startswith("https://example.org/us/workbench/raw/HEAD/")
    with Image.open(ROOT / address.partition("/HEAD/")[2]) as icon:
        assert icon.size == (400, 400)
