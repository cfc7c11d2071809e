"""What an engine really executed, on disk: the witness for whoever compares it with what was asked for.

Each line is one JSON object, written at once, so that a killed engine leaves whole lines.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfy_mcp.embedded.execution import Job

__all__ = ["Ledger"]


class Ledger:
    """Appends to ``path``; None writes nothing. ``at`` is seconds of the clock that all processes share."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @contextmanager
    def executing(self, job: Job) -> Generator[None]:
        """Tell of the start of a job with its graph, and of its end when it comes."""
        self._write({"event": "start", "prompt_id": job.prompt_id, "graph": job.graph})
        yield
        self._write({"event": "end", "prompt_id": job.prompt_id})

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            os.write(self._file, json.dumps({**entry, "at": time.monotonic()}).encode() + b"\n")
