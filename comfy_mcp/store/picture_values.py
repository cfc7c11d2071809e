"""What a store promises of pictures as a person looks for them: by what made them, by words, by age.

A picture here is every file that a job made or a person sent. Used by whoever shows or deletes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from comfy_mcp.jobs import Asset

__all__ = ["Dropped", "Facets", "Found", "Pictures", "Sought", "Usage"]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which pictures; what is empty says nothing.

    Of ``text`` every word must begin a word of the prompt. ``kind`` is image, video or audio. ``source`` is ``made`` by
    a job, a ``cell`` of a comparison or an ``upload``. ``since`` and ``until`` are seconds since 1970.
    """

    text: str = ""
    template: str = ""
    model: str = ""
    style: str = ""
    kind: str = ""
    source: str = ""
    kept: bool = False
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A picture with where it comes from: ``job`` is None for an upload, and ``prompt`` is the beginning of its own."""

    asset: Asset
    made: datetime
    job: str | None = None
    template: str = ""
    prompt: str = ""
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Facets:
    """What there is to choose from among an owner's pictures."""

    templates: Sequence[str] = ()
    models: Sequence[str] = ()
    styles: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """How many files, and their bytes together."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """``gone`` are the assets that are forgotten; ``needed`` are ids of those that a job still waits to read."""

    gone: Sequence[Asset]
    needed: Sequence[str]


class Pictures(Protocol):
    """Every method commits before it returns; all raise DatabaseUnavailable."""

    async def find(
        self, owner: str, sought: Sought, *, limit: int = 60, beyond: str | None = None, newer: bool = False
    ) -> Sequence[Found]:
        """The newest first, from the asset ``beyond`` on; ``newer``: those made after it, oldest first.

        Raises:
            NotFound: the owner has no picture ``beyond``.
        """
        ...

    async def get(self, asset: str, owner: str | None = None) -> Found:
        """One of them. Raises NotFound, also when it is somebody else's."""
        ...

    async def facets(self, owner: str) -> Facets:
        """What there is to choose from, each in the order of the alphabet."""
        ...

    async def newest(self, owner: str, each: Literal["template", "style"]) -> Mapping[str, str]:
        """The id of the owner's newest picture (no video, no sound) made with each template, or in each style."""
        ...

    async def usage(self, owner: str | None = None) -> Usage:
        """What the pictures of an owner take, or those of all."""
        ...

    async def mark(self, asset: str, owner: str, kept: bool) -> None:
        """Mark it so that its age never deletes it, or take that back. Raises NotFound."""
        ...

    async def drop(self, assets: Sequence[str], owner: str) -> Dropped:
        """Forget those of the owner among these, but for what a job that waits or runs reads. Their jobs stay."""
        ...

    async def drop_aged(self, before: float, limit: int) -> Dropped:
        """As `drop`, the oldest ``limit`` of all owners from before this time that nobody marked or needs."""
        ...

    async def leaving(self, limit: int) -> Sequence[Asset]:
        """Forgotten files whose bytes nothing else has, and no running job could be recording now."""
        ...

    async def erase(self, key: str, remove: Callable[[], None]) -> None:
        """``remove`` the bytes of a key while nobody can record anything, if they are still to go.

        ``remove`` is called in a thread; what it raises passes through, and the key stays among those `leaving`. Who
        records an asset looks afterwards whether its bytes are there: they may have gone right before.
        """
        ...
