"""The run folders of comparisons, which outlive the graph: what was cut off goes on, and people vote later.

Owns where they are, their ids, and how many are kept. Everything here runs on the bridge's loop.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

from comfy_nodes.host import user_folder
from llm_bridge.compare import Cache, Comparison, Folder
from llm_bridge.compare.disk import lock, to_the_end
from llm_bridge.compare.keys import key_of
from llm_bridge.compare.records import comparison_record
from llm_bridge.errors import BadInput

__all__ = ["answers", "begun", "is_kept", "note_vote", "run_folder", "run_id", "voted"]

_MOST_RUNS = 200
_VOTED = "voted"
"""An empty file: when it was written is when somebody voted last."""

_LOOK_SECONDS = 0.2
_WAITING = "The same comparison is at work elsewhere: waiting for it …"

_ID = re.compile(r"[0-9a-f]{32}")
_HELD: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def run_id(comparison: Comparison, *, anew: bool) -> str:
    """The id of the run: the same whenever the same is compared, unless it is to be done ``anew``."""
    return secrets.token_hex(16) if anew else key_of(comparison_record(comparison))[:32]


@asynccontextmanager
async def begun(run: str, waits: Callable[[str], None]) -> AsyncGenerator[Folder]:
    """The folder of a run, for one writer at a time, of this process or of another; the oldest of many runs go.

    Who has to wait is told so through ``waits``, and then finds what the other wrote.
    """
    alone = _HELD.setdefault(run, asyncio.Lock())
    if alone.locked():
        waits(_WAITING)
    async with alone:
        await asyncio.to_thread(_make_room, run)
        yield _Shared(_place() / run, waits)


class _Shared(Folder):
    """A run folder that other processes write as well: two of ComfyUI may have one user folder."""

    def __init__(self, path: Path, waits: Callable[[str], None]) -> None:
        super().__init__(path)
        self._at, self._waits = path, waits

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        with ExitStack() as held:
            while not await to_the_end(asyncio.to_thread(_taken, self._at, held)):
                self._waits(_WAITING)
                await asyncio.sleep(_LOOK_SECONDS)
            yield


def _taken(path: Path, held: ExitStack) -> bool:
    """Whether nobody else writes to the folder, which is then ours as long as ``held`` is open."""
    # What is wrong with the disk is told by whoever writes next.
    with suppress(OSError), ExitStack() as opened:
        path.mkdir(parents=True, exist_ok=True)
        file = opened.enter_context((path / "lock").open("ab"))
        try:
            lock(file, wait=False)
        except BlockingIOError:
            return False
        held.enter_context(opened.pop_all())
    return True


def is_kept(run: str) -> bool:
    """Whether there is still a folder of this run."""
    return bool(_ID.fullmatch(run)) and (_place() / run).is_dir()


def run_folder(run: str) -> Folder:
    """To read, to vote or to judge. Raises: BadInput when there is none of this id (any more)."""
    if not is_kept(run):
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
        with ExitStack() as held:
            free = _taken(path, held)
        # Let go of before: Windows removes no file that is open.
        if free:
            shutil.rmtree(path, ignore_errors=True)
