"""The official inspector's command line against `comfy-workbench stdio`, started as a chat would start it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.conformance.node import run_node, tool_path

SCRIPT = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"


def inspect(tmp_path: Path, comfyui: str, *arguments: str) -> tuple[int, str, str]:
    script = tool_path("WORKBENCH_TEST_NODE_MODULES", SCRIPT)
    # Like a chat client, the inspector gives the server it starts none of its own environment but what it was told to.
    settings = ("-e", f"WORKBENCH_DATA={tmp_path}", "-e", f"WORKBENCH_COMFYUI_URL={comfyui}")
    done = run_node(script, "--cli", sys.executable, "-m", "comfy_mcp", "stdio", *settings, *arguments)
    return done.returncode, done.stdout, done.stderr


def test_the_inspector_lists_the_tools_without_a_comfyui(tmp_path: Path) -> None:
    status, out, err = inspect(tmp_path, "http://127.0.0.1:9", "--method", "tools/list")

    assert status == 0, err
    names = {tool["name"] for tool in json.loads(out)["tools"]}
    assert {"txt2img", "img2img", "inpaint", "upscale", "get_result", "cancel_job", "list_templates"} <= names


def test_the_inspector_gets_a_picture(tmp_path: Path, embedded_url: str) -> None:
    arguments = ("--tool-arg", "prompt=a red house", "width=64", "height=64", "steps=2")
    status, out, err = inspect(tmp_path, embedded_url, "--method", "tools/call", "--tool-name", "txt2img", *arguments)

    assert status == 0, err
    kinds = [block["type"] for block in json.loads(out)["content"]]
    assert kinds == ["text", "image"]


def test_the_inspector_sees_an_error_as_one(tmp_path: Path, embedded_url: str) -> None:
    arguments = ("--tool-arg", "prompt=x", "scheduler=karas")
    status, out, err = inspect(tmp_path, embedded_url, "--method", "tools/call", "--tool-name", "txt2img", *arguments)

    assert status == 5, (out, err)
    assert "karras" in out + err
