"""One backend of the pool with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from comfy_mcp.backends.breaker import Breaker
from comfy_mcp.backends.interface import Backend, BackendConfig
from comfy_mcp.store import Mode
from llm_bridge.scheduling import Server

__all__ = ["Member"]


@dataclass(eq=False, slots=True)
class Member:
    """``running`` attempts are ours; the backend keeps records of the ``ended`` ones."""

    config: BackendConfig
    backend: Backend
    breaker: Breaker = field(default_factory=Breaker)
    mode: Mode = Mode.ACTIVE
    running: int = 0
    ended: list[str] = field(default_factory=list[str])
    leaving: bool = False
    drained: bool = False
    asked: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def admits(self) -> bool:
        """Whether more may be begun there, as far as the backend itself goes."""
        return not self.leaving and self.breaker.admits(self.running)

    def notice(self) -> None:
        self.changed.set()

    def server(self, names: frozenset[str]) -> Server:
        """As the scheduling policy sees it."""
        config = self.config
        tags = frozenset(f"tag:{tag}" for tag in config.tags)
        return Server(
            # The one that takes its place has its name, and is another server to the policy.
            name=f"{config.name} (leaving)" if self.leaving else config.name,
            card=config.place,
            offers=self.backend.offers(names) | tags,
            slots=config.concurrency,
            running=self.running,
            open=self.mode is Mode.ACTIVE and self.admits,
        )
