"""Runs what may never end, a regular expression or a JSON Schema, in a process that is killed when it takes too long.

Python's `re` cannot be interrupted and keeps every other thread waiting, so neither a thread nor a timer would help.
Knows the process; `program` is what runs in it. Used for structured answers and by the checks of comparisons.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from llm_bridge.errors import BadInput

__all__ = ["DEADLINE", "matched"]

DEADLINE = 10.0
"""Seconds that one check may take."""


async def matched(kind: str, rule: Any, answer: Any = None, deadline: float = DEADLINE) -> list[str]:
    """What is wrong, in words: ``kind`` is regex, not-regex or schema, or verify for a schema without an answer.

    Raises: BadInput when it took longer than ``deadline`` seconds, or cannot be told.
    """
    asked = json.dumps({"kind": kind, "rule": rule, "answer": answer}).encode()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", str(Path(__file__).with_name("program.py"))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(deadline):
            told, _ = await process.communicate(asked)
    except TimeoutError:
        raise BadInput(f"The check took longer than {deadline:g} seconds.", hint="Make its patterns simpler.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise BadInput("The check could not be done.", hint="Does it refer to itself without end?")
    return json.loads(told)
