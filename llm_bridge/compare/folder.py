"""The folder of a run: what is compared, each result as it comes, what judges and people say. A run resumes from it.

    comparison.json    the matrix; images by hash in images/
    results.jsonl      a line for each result; a later line of a cell replaces an earlier one
    preferences.jsonl  a line for each vote or judgement
    salt               the secret of the ballots
    lock               empty; held by the run that writes

Owns these files, and asks nobody. One run at a time writes; anyone may read and vote meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

from llm_bridge.compare.disk import lock, replace_file, to_the_end
from llm_bridge.compare.lines import Lines
from llm_bridge.compare.matrix import Comparison
from llm_bridge.compare.ranking import merged, with_preferences
from llm_bridge.compare.records import (
    comparison_of,
    comparison_record,
    preference_of,
    preference_record,
    result_of,
    result_record,
)
from llm_bridge.compare.results import CellResult, Preference, Results, in_order
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image

__all__ = ["Folder"]

_VERSION = 1
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
_DAMAGED = "The run folder holds a comparison that cannot be read."


class Folder:
    """A run folder, which need not exist yet. Every call raises BadInput when the disk does not let it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results = Lines(path / "results.jsonl")
        self._preferences = Lines(path / "preferences.jsonl")

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """While a run writes here. Raises: BadInput when another does, in this process or in any other."""
        with ExitStack() as held:
            await to_the_end(asyncio.to_thread(self._hold, held))
            yield

    def _hold(self, held: ExitStack) -> None:
        with _disk("written"):
            self._path.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((self._path / "lock").open("ab"))
            try:
                lock(file, wait=False)
            except BlockingIOError:
                raise BadInput(
                    "Another run writes to this folder.", hint="Wait until it has ended, or give a new folder."
                ) from None

    async def begin(self, comparison: Comparison) -> Results:
        """Makes the folder that of ``comparison``, and gives what it has of it.

        Raises: BadInput when it is that of another, and says what differs.
        """
        return await to_the_end(asyncio.to_thread(self._begin, comparison))

    async def read(self) -> Results:
        """All that the folder has. Raises: BadInput when it is no run folder."""
        return await asyncio.to_thread(self._read)

    async def salt(self) -> str:
        """What the ballots of this run are made with (`votes`). Never to be shown to a voter."""
        with _disk("read"):
            return await asyncio.to_thread((self._path / "salt").read_text)

    async def add(self, result: CellResult) -> None:
        """On the disk when it returns, as with `prefer`."""
        with _disk("written"):
            await self._results.append(result_record(result.cell.key, result))

    async def prefer(self, preferences: Sequence[Preference]) -> None:
        """``preferences`` are of one judgement or one vote. See `ranking.merged` for what they replace."""
        with _disk("written"):
            await self._preferences.append([preference_record(preference) for preference in preferences])

    def _begin(self, comparison: Comparison) -> Results:
        spec = {"version": _VERSION} | comparison_record(comparison)
        known = self._spec()
        # As it would be read again, so that a tuple in what is given is no difference.
        if known is not None and (differences := _differences(known, json.loads(json.dumps(spec)))):
            raise BadInput(
                f"The run folder holds another comparison: {'; '.join(differences)}.",
                hint="Give a new folder, or the same comparison.",
            )
        with _disk("written"):
            (self._path / "images").mkdir(parents=True, exist_ok=True)
            for digest, image in _images(comparison).items():
                if not self._image_path(digest).exists():
                    replace_file(self._image_path(digest), image.data)
            if known is None:
                replace_file(self._path / "salt", secrets.token_hex(16).encode())
                replace_file(self._path / "comparison.json", json.dumps(spec, indent=2).encode())
        return self._results_of(comparison)

    def _read(self) -> Results:
        spec = self._spec()
        if spec is None:
            raise BadInput("That is no folder of a comparison.", hint="Give one that a comparison wrote.")
        try:
            comparison = comparison_of(spec, self._image)
        except _UNREADABLE as error:
            raise BadInput(_DAMAGED, hint="Give a new folder.") from error
        return self._results_of(comparison)

    def _spec(self) -> Mapping[str, Any] | None:
        with _disk("read"):
            try:
                spec: Any = json.loads((self._path / "comparison.json").read_bytes())
            except FileNotFoundError:
                return None
            except ValueError:
                raise BadInput(_DAMAGED, hint="Give a new folder.") from None
        spec = cast("Mapping[str, Any]", spec if isinstance(spec, dict) else {})
        if spec.get("version") != _VERSION:
            raise BadInput("The run folder was written by another version.", hint="Give a new folder.")
        return spec

    def _results_of(self, comparison: Comparison) -> Results:
        with _disk("read"):
            lines, damaged = self._results.read()
            votes, unread = self._preferences.read()
        results, misread = _results(comparison, lines)
        batches, unclear = _batches(votes)
        lost = damaged + unread + misread + unclear
        notes = (f"{lost} lines of the run folder cannot be read.",) if lost else ()
        return with_preferences(Results(comparison, results, merged(batches), notes=notes))

    def _image_path(self, digest: str) -> Path:
        return self._path / "images" / digest

    def _image(self, digest: str, mime: str) -> Image:
        with _disk("read"):
            data = self._image_path(digest).read_bytes() if digest.isalnum() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise BadInput("An image of the run folder is damaged.", hint="Give a new folder.")
        return Image(data, mime)


def _results(comparison: Comparison, lines: Sequence[Any]) -> tuple[tuple[CellResult, ...], int]:
    """The last result of each cell, in order, and how many lines make no sense. An answer outlives a later failure."""
    records: dict[str, Any] = {}
    lost = 0
    keyed = comparison.keyed
    for record in lines:
        try:
            key = record["key"]
            result = result_of(record, keyed[key][0]) if key in keyed else None
        except _UNREADABLE:
            lost += 1
            continue
        if result and (result.reply or not (key in records and records[key]["reply"])):
            records[key] = record
    found = [result_of(record, cell) for key, record in records.items() for cell in keyed[key]]
    return in_order(comparison, found), lost


def _batches(lines: Sequence[Any]) -> tuple[list[list[Preference]], int]:
    batches: list[list[Preference]] = []
    for line in lines:
        try:
            batches.append([preference_of(record) for record in line])
        except _UNREADABLE:
            continue
    return batches, len(lines) - len(batches)


def _images(comparison: Comparison) -> dict[str, Image]:
    pairs = (pair for prompt in comparison.prompts for pair in zip(prompt.digests, prompt.images, strict=True))
    return dict(pairs)


def _differences(known: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    """What ``spec`` has otherwise than ``known``, in words."""
    differences: list[str] = []
    for what in ("models", "prompts", "variants"):
        before, after = _named(known.get(what, [])), _named(spec[what])
        differences += [f"{what[:-1]} {name!r} is new" for name in after if name not in before]
        differences += [f"{what[:-1]} {name!r} is gone" for name in before if name not in after]
        both = [name for name in after if name in before]
        differences += [f"{what[:-1]} {name!r} has changed" for name in both if before[name] != after[name]]
        if [*before] != [*after] and {*before} == {*after}:
            differences.append(f"the {what} are in another order")
    if known.get("repeats") != spec["repeats"]:
        differences.append(f"{spec['repeats']} repeats instead of {known.get('repeats')}")
    return differences


def _named(items: Sequence[Any]) -> dict[str, Any]:
    return {item if isinstance(item, str) else item.get("name", ""): item for item in items}


@contextmanager
def _disk(what: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or "the disk does not say why"
        raise BadInput(f"The run folder cannot be {what}: {reason}.", hint="Look at the folder and the disk.") from None
