"""Keeps files and gives them back: checked on the way in, and proved unchanged on the way out.

Owns the ids and keys of assets and the pattern of their names. The records are the store's: two of them may share a
key, so whoever deletes one must look for the other first. Used by workbench and dispatch.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, date, datetime

from anyio.to_thread import run_sync

from comfy_mcp.assets.naming import NamePattern, key_for
from comfy_mcp.assets.sink import Sink
from comfy_mcp.errors import OutputUnreadable
from comfy_mcp.images import inspect
from comfy_mcp.jobs import Asset

__all__ = ["Assets"]

_ID_BYTES = 18
_HASHED_AT_ONCE = 64 * 1024


def _today() -> date:
    return datetime.now(UTC).date()


class Assets:
    """Files in one sink. ``name_pattern`` names them: ``{template}-{seed}`` and the other fields of `naming`."""

    def __init__(
        self, sink: Sink, name_pattern: str = "{template}-{seed}", *, today: Callable[[], date] = _today
    ) -> None:
        self._sink = sink
        self._pattern = NamePattern(name_pattern)
        self._today = today

    async def keep(self, data: bytes, *, name_fields: Mapping[str, str | int]) -> Asset:
        """Check that ``data`` is whole, store it, and return its record with a new id that nobody can guess.

        The type comes from the bytes. ``date``, ``width`` and ``height`` of the name are filled in here.

        Raises:
            OutputUnreadable: it is cut off or damaged.
            TooLarge: a picture of more pixels than may be made.
            StorageUnavailable: the sink refuses.
        """
        found = await inspect(data)
        sha256 = await _sha256(data)
        day = self._today()
        size = {"width": found.width, "height": found.height}
        measured = {name: pixels for name, pixels in size.items() if pixels is not None}
        stem = self._pattern.stem({**name_fields, "date": day.isoformat(), **measured})
        key = key_for(stem, sha256, found.media.suffix, day)
        await self._sink.put(key, data)
        return Asset(
            id=secrets.token_urlsafe(_ID_BYTES),
            key=key,
            sha256=sha256,
            mime=found.media.mime,
            size=len(data),
            name=stem + found.media.suffix,
            width=found.width,
            height=found.height,
        )

    async def assure(self, asset: Asset, data: bytes) -> None:
        """Store the bytes of `keep` again if they are gone, once the asset is recorded: before that, whoever deletes
        another asset of the same bytes cannot know. Raises StorageUnavailable."""
        if not await self._sink.exists(asset.key):
            await self._sink.put(asset.key, data)

    async def read(self, asset: Asset) -> bytes:
        """The bytes that were kept.

        Raises:
            NotFound: they expired or were removed.
            OutputUnreadable: what is stored is not what was kept.
            StorageUnavailable: the sink refuses.
        """
        data = await self._sink.get(asset.key)
        if len(data) != asset.size or await _sha256(data) != asset.sha256:
            raise OutputUnreadable("The stored file is damaged.", hint="Run the job again to make it once more.")
        return data

    def stream(self, asset: Asset, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """A part of the bytes, in pieces and not checked: for recordings that a browser reads in ranges.

        Raises:
            NotFound: at the first piece, when they expired or were removed.
            StorageUnavailable: the sink refuses.
        """
        return self._sink.stream(asset.key, start=start, stop=stop)

    async def delete(self, asset: Asset) -> None:
        """Remove the bytes, also for every other asset with the same key. Raises StorageUnavailable."""
        await self._sink.delete(asset.key)

    async def check(self) -> None:
        """Prove that a file can be stored now. Raises StorageUnavailable."""
        await self._sink.check()


async def _sha256(data: bytes) -> str:
    if len(data) <= _HASHED_AT_ONCE:
        return hashlib.sha256(data).hexdigest()
    return await run_sync(lambda: hashlib.sha256(data).hexdigest())
