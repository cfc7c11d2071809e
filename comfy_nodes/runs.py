"""The run folders of comparisons, which outlive the graph: what was cut off goes on, and people vote later.

Owns where they are, their ids, and how many are kept. Everything here runs on the bridge's loop.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

from comfy_nodes.host import user_folder
from llm_bridge.compare import Cache, Comparison, Folder
from llm_bridge.compare.keys import key_of
from llm_bridge.compare.records import comparison_record
from llm_bridge.errors import BadInput

__all__ = ["answers", "begun", "note_vote", "run_folder", "run_id", "voted"]

_MOST_RUNS = 200
_VOTED = "voted"
"""An empty file: when it was written is when somebody voted last."""

_ID = re.compile(r"[0-9a-f]{32}")
_HELD: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def run_id(comparison: Comparison, *, anew: bool) -> str:
    """The id of the run: the same whenever the same is compared, unless it is to be done ``anew``."""
    return secrets.token_hex(16) if anew else key_of(comparison_record(comparison))[:32]


@asynccontextmanager
async def begun(run: str) -> AsyncGenerator[Folder]:
    """The folder of a run, for one writer of this process at a time; the oldest of many runs go."""
    lock = _HELD.setdefault(run, asyncio.Lock())
    async with lock:
        await asyncio.to_thread(_make_room, run)
        yield Folder(_place() / run)


def run_folder(run: str) -> Folder:
    """To read, to vote or to judge. Raises: BadInput when there is none of this id (any more)."""
    if not _ID.fullmatch(run) or not (_place() / run).is_dir():
        raise BadInput("These results are not there any more.", hint="Run the comparison again.")
    return Folder(_place() / run)


def answers() -> Cache:
    """What models answered earlier, to whatever comparison."""
    return Cache(user_folder() / "answers")


def voted() -> float:
    """When somebody voted last in the page, in seconds: 0 when nobody did. A judge at work does not count."""
    try:
        return (_place() / _VOTED).stat().st_mtime
    except OSError:
        return 0.0


def note_vote() -> None:
    """Somebody has voted just now. Blocks for a moment."""
    (_place() / _VOTED).touch()


def _place() -> Path:
    return user_folder() / "comparisons"


def _make_room(run: str) -> None:
    """Only runs that nobody holds go, the one that was used longest ago first."""
    known: list[tuple[float, Path]] = []
    for path in _place().glob("*"):
        with suppress(OSError):
            if _ID.fullmatch(path.name) and path.name not in _HELD:
                known.append((max(file.stat().st_mtime for file in (path, *path.iterdir())), path))
    for _, path in sorted(known)[: max(0, len(known) + 1 - _MOST_RUNS)]:
        shutil.rmtree(path, ignore_errors=True)
