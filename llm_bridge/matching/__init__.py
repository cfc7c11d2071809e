"""Runs what may never end, a regular expression, a JSON Schema or the mending of JSON, in a process that can be killed.

Python's `re` cannot be interrupted and keeps every other thread waiting, so neither a thread nor a timer would help.
Knows the process; `program` is what runs in it. For structured answers, the checks of comparisons and charts.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llm_bridge.errors import BadInput

__all__ = ["DEADLINE", "matched", "mended"]

DEADLINE = 10.0
"""Seconds that one check may take."""

_MENDING_SECONDS = 5.0
_MOST_MENDED = 100_000


async def matched(kind: str, rule: Any, answer: Any = None, deadline: float = DEADLINE) -> list[str]:
    """What is wrong, in words: ``kind`` is regex, not-regex or schema, or verify for a schema without an answer.

    Raises: BadInput when it took longer than ``deadline`` seconds, or cannot be told.
    """
    try:
        told = await _ran({"kind": kind, "rule": rule, "answer": answer}, deadline)
    except TimeoutError:
        raise BadInput(f"The check took longer than {deadline:g} seconds.", hint="Make its patterns simpler.") from None
    if told is None:
        raise BadInput("The check could not be done.", hint="Does it refer to itself without end?")
    return json.loads(told)


async def mended(text: str) -> Any:
    """The JSON that was probably meant by ``text``; None without one, without `json_repair`, or after five seconds."""
    if len(text) > _MOST_MENDED or find_spec("json_repair") is None:
        return None
    try:
        told = await _ran({"kind": "mend", "answer": text}, _MENDING_SECONDS)
    except TimeoutError:
        return None
    return None if told is None else json.loads(told)


async def _ran(asked: dict[str, Any], deadline: float) -> bytes | None:
    """What the program tells, None when it failed. Raises TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", str(Path(__file__).with_name("program.py"))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(deadline):
            told, _ = await process.communicate(json.dumps(asked).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return told if process.returncode == 0 else None
