"""A short run of the chaos driver: fifty deaths, and nothing lost. `make chaos` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys

KILLS = ("--workbench-kills", "45", "--engine-kills", "6", "--jobs", "250")


def test_nothing_is_lost_in_fifty_deaths() -> None:
    command = [sys.executable, "-m", "tests.chaos.driver", "--seed", "20261121", *KILLS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    assert done.stdout, done.stderr
    summary = json.loads(done.stdout)
    assert summary["violations"] == [], done.stdout
    assert done.returncode == 0
    assert summary["workbench kills"] + summary["engine kills"] >= 50
    assert summary["acknowledged"] >= 250
    assert summary["succeeded"] + summary["cancelled"] == summary["jobs"] >= summary["acknowledged"]
