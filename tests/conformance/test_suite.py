"""The official conformance suite against our transport and guard, in both protocol eras."""

from __future__ import annotations

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
