"""A short run of what `make fuzz` does for hours: generated requests do no harm either."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.fuzz import fuzzing

DESCRIBED, CHANGED = 8, 40


@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
def test_no_generated_request_does_harm(tmp_path: Path, embedded_url: str) -> None:
    seen: set[str] = set()
    with fuzzing(tmp_path, embedded_url) as fuzzer:
        for name, generated in fuzzer.endpoints():
            fuzzer.run(generated, CHANGED if name.endswith("changed") else DESCRIBED)
            seen.add(name)
    assert {"POST /api/v1/jobs", "POST /v1/chat/completions changed", "POST /mcp changed"} <= seen and len(seen) > 30
