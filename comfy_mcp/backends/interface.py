"""What a backend is to the queue: it runs one attempt after another, and can let go of its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from comfy_mcp.jobs import Progress, Result, Run
from llm_bridge.endpoints import Endpoint

__all__ = ["Backend", "BackendConfig"]


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """A backend as a person set it up. ``card`` names what it computes on; backends of one card take turns.

    ``authorization`` is sent to it and to no other. ``endpoint`` tells of an LLM server; a ComfyUI has none. One that
    nobody named is ``assumed``: that it is not there is no news.
    """

    name: str
    url: str
    concurrency: int = 1
    tags: frozenset[str] = frozenset()
    card: str = ""
    authorization: str | None = field(default=None, repr=False)
    endpoint: Endpoint | None = None
    assumed: bool = False

    def reached_as(self, other: BackendConfig) -> bool:
        """Whether a connection to ``other`` is one to this."""
        return (self.url, self.authorization, self.endpoint) == (other.url, other.authorization, other.endpoint)

    @property
    def place(self) -> str:
        """The card; a backend that names none has one of its own."""
        return self.card or f"the card of {self.name}"


class Backend(Protocol):
    """One server that runs attempts. Every method raises BackendUnavailable when it cannot be reached."""

    async def probe(self) -> None:
        """Whether it answers after it did not; raises BackendError when it cannot be used."""
        ...

    async def refresh(self) -> bool:
        """Ask what it has, unless that is known and fresh; whether it was asked."""
        ...

    def offers(self, names: frozenset[str]) -> frozenset[str]:
        """Which of these needs it had when it was last asked; never asks."""
        ...

    async def run(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        """See an attempt through from its start. Cancelling this call leaves the attempt alone.

        Raises:
            BackendUnavailable: it stopped answering; the detail ``reached`` says whether it may have the attempt.
            BackendLost: it restarted and forgot the attempt.
            Interrupted: somebody cancelled it.
            TimedOut: it took longer than ``run.timeout``, and was cancelled.
            WorkbenchError: anything else that made it fail.
        """
        ...

    async def resume(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        """See an attempt through that an earlier process started, or was about to; raises as `run` does."""
        ...

    async def cancel(self, attempt: str) -> None:
        """Stop this attempt and no other."""
        ...

    async def forget(self, attempts: Sequence[str]) -> None:
        """Drop what it keeps of attempts that are on our disk."""
        ...

    async def unload(self) -> None:
        """Let go of the memory of the card."""
        ...
