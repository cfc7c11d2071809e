"""What is installed is whole: the wheel carries templates, schema and type markers, and finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_data_files_are_inside(unpacked: Path) -> None:
    for name in (
        "comfy_mcp/workflows/shipped/txt2img/workflow.json",
        "comfy_mcp/workflows/shipped/styles.toml",
        "comfy_mcp/store/migrations/2.sql",
        "comfy_mcp/py.typed",
        "comfy_nodes/py.typed",
        "comfy_mcp/proxy/page/markup/base.html",
        "comfy_mcp/proxy/page/static/htmx.js",
        "comfy_mcp/proxy/page/static/page.css",
        "comfy_mcp/ui/static/design.css",
        "comfy_mcp/ui/words/zh/frame.toml",
        "llm_bridge/compare/reports/page.html",
        "llm_bridge/compare/reports/diff.js",
        "llm_bridge/py.typed",
    ):
        assert (unpacked / name).is_file(), name
    assert not (unpacked / "tests").exists()


def test_the_installed_command_finds_its_templates(unpacked: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(unpacked), "WORKBENCH_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "comfy_mcp", "templates", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert {"txt2img", "img2img", "inpaint", "upscale"} <= {template["id"] for template in told["templates"]}
    where = [sys.executable, "-c", "import comfy_mcp; print(comfy_mcp.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.startswith(str(unpacked))


def test_only_httpx_is_needed_for_the_bridge(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    lines = [line for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist")]
    base = sorted(line.split()[1].partition("<")[0].partition(">")[0] for line in lines if "extra ==" not in line)
    assert base == ["httpx", "sniffio"]
    # A dependency without an upper bound is how published servers stopped starting when mcp 2 came out.
    assert [line for line in lines if "<" not in line] == []
