"""Every branch of what decides about jobs is taken by its tests: the policy, the state machine, the breaker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DECIDES = (
    "llm_bridge/scheduling.py",
    "llm_bridge/forecast.py",
    "comfy_mcp/store/queueing.py",
    "comfy_mcp/store/sqlite.py",
    "comfy_mcp/backends/breaker.py",
)
TESTS = (
    "tests/bridge/test_scheduling.py",
    "tests/bridge/test_forecast.py",
    "tests/store/test_assets.py",
    "tests/store/test_contract.py",
    "tests/store/test_listing.py",
    "tests/store/test_queueing.py",
    "tests/store/test_unstored.py",
    "tests/dispatch/test_breaker.py",
)


def test_every_branch_of_what_decides_is_taken(tmp_path: Path) -> None:
    env = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")}
    include = f"--include={','.join(DECIDES)}"
    run = [sys.executable, "-m", "coverage", "run", "--branch", include, "-m", "pytest", "-q", *TESTS]
    ran = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout
    report = [sys.executable, "-m", "coverage", "report", "--show-missing", "--fail-under=100"]
    told = subprocess.run(report, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stdout
    assert all(name in told.stdout for name in DECIDES)
