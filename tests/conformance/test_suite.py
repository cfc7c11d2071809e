"""The official conformance suite against our transport and guard, in both protocol eras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.conformance.node import run_node, tool_path

HERE = Path(__file__).parent
SCRIPT = "@modelcontextprotocol/conformance/dist/index.js"
RUNS: dict[str, tuple[str, list[str]]] = {
    "0.1.16": ("WORKBENCH_TEST_NODE_MODULES", []),
    "2025-11-25": ("WORKBENCH_TEST_NEXT_MODULES", ["--requirements", "2025-11-25"]),
    "2026-07-28": ("WORKBENCH_TEST_NEXT_MODULES", ["--requirements", "2026-07-28"]),
}


OWN = {
    "WORKBENCH_TEST_NODE_MODULES": (
        *("server-initialize", "ping", "tools-list", "resources-list", "prompts-list"),
        *("completion-complete", "resources-subscribe", "resources-unsubscribe", "server-sse-multiple-streams"),
        "dns-rebinding-protection",
    ),
    "WORKBENCH_TEST_NEXT_MODULES": (
        *("http-header-validation", "caching", "sep-2164-resource-not-found"),
        *("server-session-lifecycle", "tools-list", "resources-list", "prompts-list"),
    ),
}
"""The scenarios that ask for nothing by a name of the suite's own, so that the workbench itself can be asked."""


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    command = [sys.executable, "-m", "tests.conformance.fixture"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent.parent) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.mark.parametrize("run", RUNS)
def test_the_suite_passes_but_for_what_is_listed(run: str, url: str, tmp_path: Path) -> None:
    variable, options = RUNS[run]
    script = tool_path(variable, SCRIPT)
    baseline = str(HERE / f"expected_{run}.yml")

    done = run_node(script, "server", "--url", url, "-o", str(tmp_path), "--expected-failures", baseline, *options)

    summary = done.stdout[done.stdout.find("=== SUMMARY ===") :]
    assert done.returncode == 0, summary + done.stderr
    assert summary.count("✓") >= 20, summary


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory, embedded_url: str) -> Generator[str]:
    folder = tmp_path_factory.mktemp("workbench")
    env = {**os.environ, "WORKBENCH_DATA": str(folder), "WORKBENCH_COMFYUI_URL": embedded_url, "WORKBENCH_PORT": "0"}
    command = [sys.executable, "-m", "comfy_mcp", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        address = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)))
        yield f"{address[0]}/mcp"
        process.terminate()


@pytest.mark.parametrize(("variable", "scenario"), [(name, each) for name, own in OWN.items() for each in own])
def test_the_workbench_itself_passes(variable: str, scenario: str, workbench: str, tmp_path: Path) -> None:
    script = tool_path(variable, SCRIPT)
    options = ["--url", workbench, "--scenario", scenario, "-o", str(tmp_path)]
    done = run_node(script, "server", *options)
    assert done.returncode == 0, done.stdout + done.stderr
