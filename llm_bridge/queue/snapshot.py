"""The queue as people see it at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ServerView", "Snapshot"]


@dataclass(frozen=True, slots=True)
class ServerView:
    """``loaded`` and ``loading`` as far as is known; ``running`` and ``waiting`` are requests by model.

    ``waiting`` has those too that any other server with the model may take. ``failure`` says why it is away.
    ``unlisted`` is True of one without a list of its models, which may have any.
    """

    name: str
    slots: int
    loaded: tuple[str, ...]
    loading: tuple[str, ...]
    running: Mapping[str, int]
    waiting: Mapping[str, int]
    failure: str | None = None
    cost: float = 0.0
    unlisted: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``waiting`` are all requests that wait."""

    servers: tuple[ServerView, ...]
    waiting: int
