"""A text backend that does as the test says, and tells what it did: the second kind of backend beside ComfyUI."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import anyio

from comfy_mcp.backends import Backend, BackendConfig
from comfy_mcp.errors import BackendLost, BackendUnavailable, Interrupted, TimedOut
from comfy_mcp.jobs import Output, Progress, Result, Run

__all__ = ["Scripted", "opening"]


@dataclass
class Scripted:
    """``log`` is shared by the backends of a test: what happened in which order, over all of them."""

    name: str
    log: list[str]
    has: frozenset[str] = frozenset()
    seconds: float = 0.02
    down: bool = False
    stuck: bool = False
    running: dict[str, anyio.Event] = field(default_factory=dict[str, anyio.Event])
    most_at_once: int = 0
    probes: int = 0

    def _reached(self) -> None:
        if self.down:
            raise BackendUnavailable(f"{self.name} does not answer.", reached=False)

    async def probe(self) -> None:
        self.probes += 1
        self._reached()

    async def refresh(self) -> bool:
        self._reached()
        return False

    def offers(self, names: frozenset[str]) -> frozenset[str]:
        return names & self.has

    async def run(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        self._reached()
        self.log.append(f"{self.name} runs {run.bound.values['prompt']}")
        return await self._to_the_end(run, on_progress)

    async def resume(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        self.log.append(f"{self.name} resumes {run.bound.values['prompt']}")
        if run.prompt_id not in self.running:
            raise BackendLost("It is not known here.")
        return await self._to_the_end(run, on_progress)

    async def _to_the_end(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        stop = self.running.setdefault(run.prompt_id, anyio.Event())
        self.most_at_once = max(self.most_at_once, len(self.running))
        if self.stuck:
            del self.running[run.prompt_id]
            raise TimedOut("It got nowhere.")
        on_progress(Progress(0.5, 1, 2))
        with anyio.move_on_after(self.seconds):
            await stop.wait()
        del self.running[run.prompt_id]
        if stop.is_set():
            raise BackendUnavailable("It went down.", reached=True) if self.down else Interrupted("It was stopped.")
        self.log.append(f"{self.name} ends {run.bound.values['prompt']}")
        return Result((), (Output("", "text", "Once upon a time."),))

    async def cancel(self, attempt: str) -> None:
        if attempt in self.running:
            self.running[attempt].set()

    async def forget(self, attempts: Sequence[str]) -> None: ...

    async def unload(self) -> None:
        assert not self.running, "unloaded under a running job"
        self.log.append(f"{self.name} unloads")

    def die(self) -> None:
        """What runs is lost, and nothing answers."""
        self.down = True
        for stop in self.running.values():
            stop.set()


def opening(backends: Sequence[Scripted]) -> Callable[[BackendConfig], AbstractAsyncContextManager[Backend]]:
    """How a pool reaches these backends, by name."""
    by_name: Mapping[str, Scripted] = {backend.name: backend for backend in backends}

    @asynccontextmanager
    async def opened(config: BackendConfig) -> AsyncGenerator[Backend]:
        yield by_name[config.name]

    return opened
