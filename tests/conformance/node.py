"""Node and the official MCP tools, when they are there: `.ci/run` installs them, `make test` alone does without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["run_node", "tool_path"]

SECONDS = 240


def tool_path(variable: str, path: str) -> Path:
    """A script inside the folder of packages that ``variable`` names; skips, loudly, when it is not there."""
    folder = os.environ.get(variable)
    if not folder or not os.environ.get("WORKBENCH_TEST_NODE"):
        pytest.skip(
            f"needs Node 22 and the official MCP tools: set WORKBENCH_TEST_NODE and {variable}, as .ci/run does"
        )
    return Path(folder) / path


def run_node(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = (os.environ["WORKBENCH_TEST_NODE"], str(script), *arguments)
    node = str(Path(os.environ["WORKBENCH_TEST_NODE"]).parent)
    environment = {**os.environ, "PATH": f"{node}:{os.environ['PATH']}"}
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)
